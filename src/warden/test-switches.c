/*
 * The kill switch's table: what holds for whom, and that its text is read back exactly or not at
 * all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "warden/switches.h"

static int set(Switches *switches, SwitchScope scope, const char *name, SwitchState state)
{
    char by[] = "alice", via[] = "cli", reason[] = "\tnot \xc3\xa9\n100%\x7f";
    Switch entry = {.scope = scope, .state = state, .since_us = 17, .by = by, .via = via};

    entry.reason = reason;
    entry.until_us = state == SWITCH_RUNNING ? 0 : 1700000000000000;
    (void)snprintf(entry.name, sizeof entry.name, "%s", name);
    return switches_set(switches, &entry);
}

static char *text_of(const Switches *switches)
{
    Buffer text = BUFFER_EMPTY(SWITCHES_TEXT_MAX);
    switches_encode(switches, &text);
    char *string = buffer_take_string(&text);
    assert_non_null(string);
    return string;
}

static const char *word_for(const Switches *switches, const char *jail, const char *container)
{
    const Switch *entry = switches_of(switches, jail, container);
    return entry ? switch_state_name(entry->state) : "nothing";
}

static void test_what_holds(void **state UNUSED)
{
    Switches switches = {.first = NULL};

    assert_string_equal(word_for(&switches, "a", ""), "nothing");
    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "a", SWITCH_PAUSED), 0);
    assert_string_equal(word_for(&switches, "a", ""), "paused");
    assert_string_equal(word_for(&switches, "b", ""), "nothing");
    assert_int_equal(set(&switches, SWITCH_SCOPE_CONTAINER, "c1", SWITCH_KILLED), 0);
    assert_string_equal(word_for(&switches, "a", "c1"), "killed");
    assert_string_equal(word_for(&switches, "b", "c1"), "killed");
    assert_string_equal(word_for(&switches, "b", "c2"), "nothing");
    assert_int_equal(set(&switches, SWITCH_SCOPE_ALL, "", SWITCH_KILLED), 0);
    assert_string_equal(word_for(&switches, "b", "c2"), "killed");
    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "b", SWITCH_RUNNING), 0);
    assert_string_equal(word_for(&switches, "b", "c2"), "nothing");
    assert_string_equal(word_for(&switches, "b", "c1"),
                        "killed"); /* its container is no exception */
    assert_string_equal(word_for(&switches, "not there yet", ""), "killed");
    switches_done(&switches);
    assert_string_equal(word_for(&switches, "b", "c1"), "nothing");
}

static void meet(Switches *switches, const char *id, const char *jail, bool frozen)
{
    bool is_new = false;
    SwitchContainer *container = switches_meet_container(switches, id, jail, &is_new);

    assert_non_null(container);
    container->frozen |= frozen;
}

static void test_there_and_back(void **state UNUSED)
{
    Switches switches = {.first = NULL}, read;

    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "my-agent", SWITCH_PAUSED), 0);
    assert_int_equal(set(&switches, SWITCH_SCOPE_CONTAINER, "0123456789ab", SWITCH_KILLED), 0);
    assert_int_equal(set(&switches, SWITCH_SCOPE_ALL, "", SWITCH_KILLED), 0);
    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "b", SWITCH_RUNNING), 0);
    meet(&switches, "ab12", "b", true);
    meet(&switches, "cd34", "b", false); /* not kept */
    _cleanup_free_ char *text = text_of(&switches);
    assert_int_equal(switches_decode(text, strlen(text), &read), 0);
    assert_int_equal(read.count, 4);
    assert_int_equal(read.n_containers, 1);
    assert_true(read.containers->frozen);
    assert_string_equal(read.containers->id, "ab12");
    assert_string_equal(read.containers->jail, "b");
    _cleanup_free_ char *again = text_of(&read);
    assert_string_equal(text, again);
    const Switch *entry = switches_find(&read, SWITCH_SCOPE_JAIL, "my-agent");
    assert_string_equal(entry->reason, "\tnot \xc3\xa9\n100%\x7f");
    assert_int_equal(switches_next_end(&read), 1700000000000000);
    switches_done(&switches);
    switches_done(&read);
}

/* Not one byte may be lost, changed to another kind, or added. */
static void test_cut_and_changed(void **state UNUSED)
{
    Switches switches = {.first = NULL}, read;

    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "a", SWITCH_PAUSED), 0);
    assert_int_equal(set(&switches, SWITCH_SCOPE_ALL, "", SWITCH_KILLED), 0);
    meet(&switches, "ab", "a", true);
    _cleanup_free_ char *text = text_of(&switches);
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(switches_decode(text, cut, &read), -EBADMSG);
        switches_done(&read);
    }
    for (size_t i = 0; i < size; i++) {
        char kept = text[i];
        text[i] = kept == '\n' ? '\t' : '\n';
        assert_int_equal(switches_decode(text, size, &read), -EBADMSG);
        switches_done(&read);
        text[i] = kept;
    }
    switches_done(&switches);
}

/* One byte more than a name may have. */
#define NAME_16 "aaaaaaaaaaaaaaaa"
#define PAUSED_JAIL_WITH_A_LONG_NAME                                                               \
    "paused\tjail\t" NAME_16 NAME_16 NAME_16 NAME_16 NAME_16 "\t1\t0\ta\tb\t\t"

static void test_what_cannot_be(void **state UNUSED)
{
    static const char *const lines[] = {
        "running\tall\t\t1\t0\ta\tb\t\t",        /* an exception to itself */
        "running\tcontainer\tx\t1\t0\ta\tb\t\t", /* of a container */
        "running\tjail\tx\t1\t5\ta\tb\t\t",      /* with an end */
        "paused\tall\tname\t1\t0\ta\tb\t\t",
        "paused\tjail\t\t1\t0\ta\tb\t\t",
        "stopped\tjail\tx\t1\t0\ta\tb\t\t",
        "paused\troom\tx\t1\t0\ta\tb\t\t",
        "paused\tjail\tx\t-1\t0\ta\tb\t\t",
        "paused\tjail\tx\t1\t\ta\tb\t\t",
        "paused\tjail\tx\t01\t0\ta\tb\t\t",
        "paused\tjail\tx\t1\t9999999999999999999\ta\tb\t\t",
        "paused\tjail\tx\t1\t0\t\tb\t\t",
        "paused\tjail\tx\t1\t0\ta\t\t\t",
        "paused\tjail\tx\t1\t0\ta\tb\t%00\t",
        "paused\tjail\tx\t1\t0\ta\tb\t%4\t",
        "paused\tjail\tx\t1\t0\ta\tb\t%4G\t",
        "paused\tjail\tx\t1\t0\ta\tb\t",
        "paused\tjail\tx\t1\t0\ta\tb\t\t\t",
        "paused\tjail\tx\t1\t0\ta\tb\t\xc3\xa9\t",
        PAUSED_JAIL_WITH_A_LONG_NAME,
        "frozen\tab\tx",
        "frozen\t\tx\t",
        "frozen\tab\tx\ty\t",
        "frozen\tab\tx\t\nfrozen\tab\tx\t",                                 /* twice */
        "paused\tjail\tx\t1\t0\ta\tb\t\t\nkilled\tjail\tx\t1\t0\ta\tb\t\t", /* twice */
    };
    char text[1024];

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        Switches read;
        (void)snprintf(text, sizeof text, "clawrden switches 1\n%s\nend %d\n", lines[i],
                       strchr(lines[i], '\n') ? 2 : 1);
        if (switches_decode(text, strlen(text), &read) != -EBADMSG)
            fail_msg("taken: %s", lines[i]);
        switches_done(&read);
    }
}

static void test_there_is_a_limit(void **state UNUSED)
{
    Switches switches = {.first = NULL};
    char name[16];

    for (unsigned i = 0; i < SWITCHES_MAX; i++) {
        (void)snprintf(name, sizeof name, "jail-%u", i);
        assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, name, SWITCH_KILLED), 0);
    }
    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "one more", SWITCH_KILLED), -ENOSPC);
    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "jail-7", SWITCH_PAUSED), 0);
    assert_int_equal(switches.count, SWITCHES_MAX);
    assert_int_equal(switches_room(&switches), 0);

    /* But everything can always be stopped, and that can be kept. */
    assert_int_equal(set(&switches, SWITCH_SCOPE_ALL, "", SWITCH_KILLED), 0);
    assert_int_equal(set(&switches, SWITCH_SCOPE_JAIL, "one more", SWITCH_KILLED), -ENOSPC);
    char *text = text_of(&switches);
    Switches read;
    assert_int_equal(switches_decode(text, strlen(text), &read), 0);
    assert_int_equal(read.count, SWITCHES_MAX + 1);
    switches_done(&read);
    free(text);
    switches_done(&switches);
}

/* Whoever was not heard of for longest makes room, but none that is frozen. */
static void test_containers_make_room(void **state UNUSED)
{
    Switches switches = {.first = NULL};
    bool is_new = false;
    char id[16];

    for (unsigned i = 0; i < SWITCH_CONTAINERS_MAX; i++) {
        (void)snprintf(id, sizeof id, "%u", i);
        meet(&switches, id, "a", i == 0);
    }
    meet(&switches, "1", "a", false);
    meet(&switches, "more", "a", false); /* in the place of 2 */
    assert_int_equal(switches.n_containers, SWITCH_CONTAINERS_MAX);
    (void)switches_meet_container(&switches, "0", "a", &is_new);
    assert_false(is_new);
    (void)switches_meet_container(&switches, "1", "a", &is_new);
    assert_false(is_new);
    (void)switches_meet_container(&switches, "2", "a", &is_new);
    assert_true(is_new);
    for (SwitchContainer *each = switches.containers; each; each = each->next)
        each->frozen = true;
    assert_null(switches_meet_container(&switches, "no room", "a", &is_new));
    switches_done(&switches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_holds),       cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_cut_and_changed),  cmocka_unit_test(test_what_cannot_be),
        cmocka_unit_test(test_there_is_a_limit), cmocka_unit_test(test_containers_make_room),
    };
    return cmocka_run_group_tests_name("switches", tests, NULL, NULL);
}
