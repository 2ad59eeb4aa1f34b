#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "supervisor/control/listener.h"
#include "test/unit/support/tmp.h"

static int
connect_to(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

static mode_t
mode_of(const char *path)
{
    struct stat st;

    cr_assert_eq(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

Test(listener, makes_a_socket_of_the_mode_that_was_asked_for_whatever_the_umask)
{
    static const mode_t modes[] = { 0600, 0660, 0666, 0700, 01130 };
    const char *path = tmp_path("s");
    struct listener l;
    struct err e;

    umask(0777);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        cr_assert_eq(listener_open_unix(&l, path, modes[i], &e), 0, "%s", e.text);
        cr_expect_eq(mode_of(path), modes[i]);
        cr_expect_eq(umask(0777), 0777);
        cr_expect(fcntl(l.fd, F_GETFD) & FD_CLOEXEC);
        cr_expect(fcntl(l.fd, F_GETFL) & O_NONBLOCK);
        listener_close(&l);
        cr_expect_not(tmp_exists(path));
    }
}

Test(listener, takes_connections_and_says_when_there_is_none)
{
    const char *path = tmp_path("s");
    struct listener l;
    struct err e = ERR_NONE;
    int client, server;

    cr_assert_eq(listener_open_unix(&l, path, 0600, &e), 0);
    cr_expect_eq(listener_accept(&l, &e), -1);
    cr_expect_eq(e.code, ERR_OK);
    client = connect_to(path);
    cr_assert_geq(client, 0);
    server = listener_accept(&l, &e);
    cr_assert_geq(server, 0);
    cr_expect(fcntl(server, F_GETFD) & FD_CLOEXEC);
    cr_expect(fcntl(server, F_GETFL) & O_NONBLOCK);
    cr_expect_eq(write(client, "x", 1), 1);
    close(client);
    close(server);
    listener_close(&l);
    listener_close(&l);
    cr_expect_eq(connect_to(path), -1);
}

Test(listener, replaces_a_stale_file_and_steals_no_living_socket)
{
    const char *path = tmp_path("s");
    struct listener one, two;
    struct err e;

    cr_assert_eq(listener_open_unix(&one, path, 0600, &e), 0);
    cr_expect_eq(listener_open_unix(&two, path, 0600, &e), ERR_CONFLICT);
    cr_expect(strstr(e.text, "another daemon listens on") != NULL, "%s", e.text);
    cr_expect_eq(two.fd, -1);
    close(connect_to(path));
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(listener_open_unix(&two, path, 0600, &e), 0, "%s", e.text);
    listener_close(&one); /* the file is not its own any more */
    cr_expect(tmp_exists(path));
    close(two.fd); /* as a killed daemon leaves it */
    two.fd = -1;
    cr_expect(tmp_exists(path));
    cr_expect_eq(listener_open_unix(&one, path, 0600, &e), 0, "%s", e.text);
    listener_close(&one);
    cr_expect_not(tmp_exists(path));
    listener_close(&two);
}

#define N_AT_ONCE 8

/* Opens when `go` is closed; the one that succeeds keeps it until `release` is. */
_Noreturn static void
contender(const char *path, int go, int release)
{
    struct listener l;
    struct err e;
    char c;

    if (read(go, &c, 1) != 0 || listener_open_unix(&l, path, 0600, &e) != 0)
        _exit(1);
    _exit(read(release, &c, 1) != 0); /* and leaves it behind */
}

/* Ends of children until so many are left, or for 20 s; how many are left. */
static int
wait_for(int n)
{
    for (int i = 0; i < 20000 && n > 1; i++) {
        if (waitpid(-1, NULL, WNOHANG) > 0)
            n--;
        else
            usleep(1000);
    }
    return n;
}

Test(listener, of_many_that_start_at_once_one_gets_the_path)
{
    const char *path = tmp_path("s");

    for (int round = 0; round < 5; round++) {
        int go[2], release[2];

        cr_assert(pipe(go) == 0 && pipe(release) == 0);
        for (int i = 0; i < N_AT_ONCE; i++)
            if (fork() == 0) {
                close(go[1]);
                close(release[1]);
                contender(path, go[0], release[0]);
            }
        close(go[0]);
        close(go[1]);
        cr_expect_eq(wait_for(N_AT_ONCE), 1, "round %d", round);
        close(connect_to(path));
        close(release[0]);
        close(release[1]);
        while (wait(NULL) > 0)
            ;
        cr_expect(tmp_exists(path));
    }
}

Test(listener, says_what_is_wrong_with_a_path_and_leaves_files_alone)
{
    char longest[200];
    struct listener l;
    struct err e;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    cr_expect_eq(listener_open_unix(&l, "", 0600, &e), ERR_USAGE);
    cr_expect_str_eq(e.text, "socket path required");
    cr_expect_eq(listener_open_unix(&l, longest, 0600, &e), ERR_USAGE);
    cr_expect_eq(listener_open_unix(&l, tmp_path("no/such/s"), 0600, &e), ERR_NOT_FOUND);
    tmp_write(tmp_path("file"), "precious", 8);
    cr_expect_eq(listener_open_unix(&l, tmp_path("file"), 0600, &e), ERR_CONFLICT);
    cr_expect(strstr(e.text, "is not a socket") != NULL);
    cr_expect(tmp_exists(tmp_path("file")));
    cr_assert_eq(symlink("file", tmp_path("link")), 0);
    cr_expect_eq(listener_open_unix(&l, tmp_path("link"), 0600, &e), ERR_CONFLICT);
    cr_expect(tmp_exists(tmp_path("link")));
}

Test(listener, lets_nobody_but_the_owner_and_root_in)
{
    const char *path = tmp_path("s");
    struct listener l;
    struct err e = ERR_NONE;
    char c;
    int client;

    if (getuid() != 0) { /* another user cannot be had: then at least ourselves */
        cr_assert_eq(listener_open_unix(&l, path, 0600, &e), 0);
        client = connect_to(path);
        cr_expect_geq(listener_accept(&l, &e), 0);
        close(client);
        listener_close(&l);
        return;
    }
    cr_assert_eq(chmod(tmp_dir(), 0755), 0);
    for (int open_to_all = 0; open_to_all < 2; open_to_all++) {
        int got;

        cr_assert_eq(listener_open_unix(&l, path, open_to_all ? 0666 : 0600, &e), 0);
        cr_assert_eq(chmod(path, 0666), 0); /* wider than it was asked to be */
        cr_assert_eq(seteuid(65534), 0);
        client = connect_to(path);
        cr_assert_geq(client, 0);
        cr_assert_eq(seteuid(0), 0);
        got = listener_accept(&l, &e);
        cr_expect_eq(got >= 0, open_to_all);
        if (got < 0)
            cr_expect_eq(read(client, &c, 1), 0); /* hung up */
        else
            close(got);
        close(client);
        listener_close(&l);
    }
}

Test(listener, tcp_finds_a_port_and_says_what_is_wrong_with_an_address)
{
    struct listener l, other;
    struct err e = ERR_NONE;
    char address[64];

    cr_assert_eq(listener_open_tcp(&l, "127.0.0.1:0", &e), 0, "%s", e.text);
    cr_expect_eq(strncmp(l.url, "http://127.0.0.1:", 17), 0);
    snprintf(address, sizeof(address), "%s", l.url + 7);
    cr_expect_eq(listener_open_tcp(&other, address, &e), ERR_IO, "%d", e.code);
    cr_expect(strstr(e.text, "address already in use") != NULL, "%s", e.text);
    listener_close(&l);
    cr_assert_eq(listener_open_tcp(&l, ":0", &e), 0, "%s", e.text);
    cr_expect_eq(strncmp(l.url, "http://localhost:", 17), 0);
    listener_close(&l);
    cr_assert_eq(listener_open_tcp(&l, "localhost:0", &e), 0, "%s", e.text);
    listener_close(&l);
    cr_expect_eq(listener_open_tcp(&l, "127.0.0.1", &e), ERR_USAGE);
    cr_expect_eq(listener_open_tcp(&l, "127.0.0.1:", &e), ERR_USAGE);
    cr_expect_neq(listener_open_tcp(&l, "127.0.0.1:port", &e), 0);
    cr_expect_neq(listener_open_tcp(&l, "127.0.0.1:123456", &e), 0);
    cr_expect_neq(listener_open_tcp(&l, "192.0.2.1:0", &e), 0); /* not of this machine */
    cr_expect_eq(l.fd, -1);
}
