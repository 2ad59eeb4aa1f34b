#!/usr/bin/python3
"""count.py REPORT - counts what a ctest report (--output-junit) tells.

Cases inside Criterion and pytest programs are counted one by one, other tests as one. The
first line is PASSED FAILED SKIPPED, the others name the tests that failed or were skipped.
"""

import re
import sys
import xml.etree.ElementTree

CRITERION = re.compile(
    r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)"
)
PYTEST = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+, )*\d+ [a-z]+) in [0-9.]+s", re.MULTILINE)
PYTEST_FAILED = ("failed", "error", "errors", "xpassed")
PYTEST_SKIPPED = ("skipped", "xfailed")


def cases(output):
    """(passed, failed, skipped) of the cases a program reports, None when it reports none."""
    found = [0, 0, 0]
    reports = 0
    for tested, passing, failing, crashing in CRITERION.findall(output):
        reports += 1
        found[0] += int(passing)
        found[1] += max(int(tested) - int(passing), int(failing), int(crashing))
    for words in PYTEST.findall(output):
        reports += 1
        for n, word in (w.split() for w in words.split(", ")):
            found[0] += int(n) if word == "passed" else 0
            found[1] += int(n) if word in PYTEST_FAILED else 0
            found[2] += int(n) if word in PYTEST_SKIPPED else 0
    return tuple(found) if reports else None


def count(case):
    """(passed, failed, skipped) of one test of the report."""
    status = case.get("status")
    skipped = case.find("skipped")
    if status == "notrun" and skipped is not None and "SKIP" in skipped.get("message", ""):
        return 0, 0, 1
    found = cases(case.findtext("system-out") or "")
    if status != "run":
        # A program may die after its last report.
        return (found[0], max(found[1], 1), found[2]) if found else (0, 1, 0)
    if found is None:
        return 1, 0, 0
    # One that could have told of cases and has run none has shown nothing.
    return found if any(found) else (0, 1, 0)


def main():
    total = [0, 0, 0]
    names = []
    try:
        root = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as e:
        print(f"0 1 0\nno report of the tests: {e}")
        return
    for case in root.iter("testcase"):
        counted = count(case)
        total = [a + b for a, b in zip(total, counted)]
        if counted[1]:
            names.append(f"{case.get('name')}: {counted[1]} failed")
        if counted[2]:
            names.append(f"{case.get('name')}: {counted[2]} skipped")
    print(*total)
    print("".join(n + "\n" for n in names), end="")


if __name__ == "__main__":
    main()
