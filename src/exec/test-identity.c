/*
 * What /proc says about a process is read right, also when its name tries to look like fields.
 *
 * Kernel facts: the layouts of /proc/PID/{status,stat,limits} (proc(5)); status escapes newlines in
 * Name; a process may name itself anything of 15 bytes (PR_SET_NAME).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "exec/identity.h"
#include "exec/peer.h"

static const char status_text[] = "Name:\tUid:\\n0 0 0 0\nUmask:\t0022\nState:\tR (running)\n"
                                  "Uid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\n"
                                  "Groups:\t4 27 1000 \nSigIgn:\t0000000000001001\n"
                                  "CapInh:\t0000000000000001\nCapPrm:\t0000000000000002\n"
                                  "CapEff:\t0000000000000003\nCapBnd:\t000001ffffffffff\n"
                                  "CapAmb:\t0000000000000005\nNoNewPrivs:\t1\nSeccomp:\t2\n"
                                  "Seccomp_filters:\t3\n";

static void test_status(void **state UNUSED)
{
    char text[sizeof status_text];
    Identity identity = {.pid = 0};

    memcpy(text, status_text, sizeof text);
    assert_int_equal(identity_parse_status(text, &identity), 0);
    assert_int_equal(identity.umask, 022);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(identity.uids[i], 1000 + i);
        assert_int_equal(identity.gids[i], 100 + i);
    }
    assert_int_equal(identity.n_groups, 3);
    assert_int_equal(identity.groups[2], 1000);
    assert_int_equal(identity.ignored_signals, 0x1001);
    assert_int_equal(identity.cap_bounding, 0x1ffffffffff);
    assert_int_equal(identity.cap_ambient, 5);
    assert_true(identity.no_new_privs);
    assert_int_equal(identity.seccomp_mode, 2);
    assert_int_equal(identity.seccomp_filters, 3);
    assert_true(identity_has_group(&identity, 27));
    assert_true(identity_has_group(&identity, 101));
    assert_false(identity_has_group(&identity, 100));
}

/* Each line that must be there is missed. */
static void test_status_missing(void **state UNUSED)
{
    static const char *const names[] = {"Umask",  "Uid",    "Gid",    "Groups", "SigIgn",
                                        "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char text[sizeof status_text], wanted[32];
        Identity identity = {.pid = 0};
        memcpy(text, status_text, sizeof text);
        (void)snprintf(wanted, sizeof wanted, "\n%s:", names[i]);
        char *line = strstr(text, wanted);
        assert_non_null(line);
        line[1] = 'X';
        assert_int_equal(identity_parse_status(text, &identity), -EPROTO);
    }
}

static void test_status_too_many_groups(void **state UNUSED)
{
    Buffer text = BUFFER_EMPTY(64 * 1024);
    Identity identity = {.pid = 0};

    buffer_puts(&text, "Groups:\t");
    for (unsigned i = 0; i <= PREPARED_GROUPS_MAX; i++)
        buffer_printf(&text, "%u ", i);
    _cleanup_free_ char *string = buffer_take_string(&text);
    assert_int_equal(identity_parse_status(string, &identity), -E2BIG);
}

static void test_stat(void **state UNUSED)
{
    Identity identity = {.pid = 0};
    pid_t parent = 0;
    const char *const text = "77 (a) S 1 2 3 (b) R 42 77 0 0 -1 4194560 1 0 0 0 0 0 0 0 20 -5 1 0 "
                             "987654321 1 2 3\n";

    assert_int_equal(identity_parse_stat(text, &identity, &parent), 0);
    assert_int_equal(parent, 42);
    assert_int_equal(identity.nice, -5);
    assert_int_equal(identity.start_time, 987654321);
    assert_int_equal(identity_parse_stat("77 (a", &identity, NULL), -EPROTO);
    assert_int_equal(identity_parse_stat("77 (a) R 1 2", &identity, NULL), -EPROTO);
}

static void test_self(void **state UNUSED)
{
    _cleanup_(pidref_done)
    PidRef self = PIDREF_EMPTY;
    Identity identity, again;
    World world, other;
    char why[IDENTITY_WHY_MAX];
    struct rlimit limit;

    assert_int_equal(prctl(PR_SET_NAME, ") R 1 (x", 0, 0, 0), 0);
    assert_int_equal(pidref_open(getpid(), &self), 0);
    assert_int_equal(identity_read(&self, &identity, &world), 0);
    assert_int_equal(identity.pid, getpid());
    assert_int_equal(identity.uids[0], getuid());
    assert_int_equal(identity.gids[1], getegid());
    assert_true(identity.start_time > 0);
    for (unsigned i = 0; i < RLIMIT_NLIMITS; i++) {
        assert_int_equal(getrlimit((__rlimit_resource_t)i, &limit), 0);
        assert_true(limit.rlim_cur == identity.limits[i].rlim_cur);
        assert_true(limit.rlim_max == identity.limits[i].rlim_max);
    }
    assert_true(identity_is_plain(&identity, why));
    assert_true(identity_is_confined_alike(&identity, &identity, why));
    assert_true(world_is_same(&world, &world, why));

    other = world;
    other.namespaces[3].inode++;
    assert_false(world_is_same(&other, &world, why));
    assert_non_null(strstr(why, "(net)"));
    other = world;
    other.root_mount++;
    assert_false(world_is_same(&other, &world, why));
    assert_non_null(strstr(why, "chroot"));

    again = identity;
    again.uids[2]++;
    assert_false(identity_is_plain(&again, why));
    again = identity;
    again.seccomp_filters++;
    assert_false(identity_is_confined_alike(&again, &identity, why));
    again = identity;
    (void)snprintf(again.confinement, sizeof again.confinement, "docker-default");
    assert_false(identity_is_confined_alike(&again, &identity, why));
}

static void test_gone(void **state UNUSED)
{
    PidRef child = PIDREF_EMPTY;
    Identity identity;
    World world;

    int result = pidref_fork(&child, -EBADF);
    if (result == 0)
        _exit(0);
    assert_int_equal(result, 1);
    siginfo_t status;
    assert_int_equal(waitid(P_PIDFD, (id_t)child.pidfd, &status, WEXITED), 0);
    assert_int_equal(identity_read(&child, &identity, &world), -ESRCH);
    pidref_done(&child);
}

/* A socketpair's peer is whoever made the pair, here this process: by both ways. */
static void test_peer(void **state UNUSED)
{
    int pair[2], listener;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (unsigned old = 0; old < 2; old++) {
        Peer peer;
        assert_int_equal(peer_of(pair[0], old, &peer), PEER_OK);
        assert_int_equal(peer.process.pid, getpid());
        assert_int_equal(peer.uid, geteuid());
        peer_done(&peer);
    }
    assert_true(peer_is_stream(pair[0]));
    assert_false(peer_was_accepted_at(pair[0], "/run/x"));
    assert_false(peer_was_accepted_at(pair[0], ""));

    /* The peer has closed: nobody holds the other end, whatever number it had. */
    (void)close(pair[1]);
    Peer peer;
    assert_int_equal(peer_of(pair[0], true, &peer), PEER_NOT_THE_CONNECTOR);
    (void)close(pair[0]);

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_false(peer_of(listener, false, &peer) == PEER_OK);
    assert_int_equal(listen(listener, 1), -1);
    (void)close(listener);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(peer_of(pair[0], false, &peer), PEER_NOT_A_CONNECTION);
    fd_close_many(pair, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_status_missing),
        cmocka_unit_test(test_status_too_many_groups),
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
