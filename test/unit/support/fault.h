/*
 * fault - fails the N-th call of the `sys` table.
 *
 *     for (int nth = 1; fault_nth(nth, EIO); nth++) { ... one run of the code ... }
 *     fault_off();
 *
 * fault_nth arms the N-th counted call from now to fail with an errno and returns true
 * while the previous run reached its fault; false (and the real table) once a run had
 * fewer calls.
 */
#ifndef TEST_UNIT_SUPPORT_FAULT_H
#define TEST_UNIT_SUPPORT_FAULT_H

#include <stdbool.h>

bool fault_nth(int nth, int sys_errno);
void fault_off(void);

/* Calls counted since fault_nth (all but close). */
int fault_calls(void);

#endif
