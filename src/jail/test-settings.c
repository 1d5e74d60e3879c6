/*
 * Settings, changes of them, and the table of who wants which.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After the headers that it needs. */
#include <cmocka.h>

#include "base/cleanup.h"
#include "jail/change.h"
#include "jail/table.h"

static JailSettings settings_of(const char *name, JailSource source)
{
    const char *commands[] = {"npm", "git", "npm"};
    JailSettings settings;

    assert_int_equal(jail_settings_plain(name, commands, 3, true, source, &settings), 0);
    return settings;
}

static void commands_are_sorted_and_each_stands_once(void **state)
{
    (void)state;
    JailSettings settings = settings_of("one", JAIL_OF_LABEL);

    assert_int_equal(settings.jail.n_commands, 2);
    assert_string_equal(settings.jail.commands[0], "git");
    assert_string_equal(settings.jail.commands[1], "npm");
    assert_string_equal(settings.jail.name, "one");
    assert_true(settings.jail.hardened);
    jail_settings_done(&settings);
    assert_null(settings.memory);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const commands[] = {"",         ".",    "..",   "a/b",  "/bin/sh",
                                           "a\nb",     "a\tb", "\x7f", "\x1b", "../clawrden-shim",
                                           "\xff\xfe", "a\x01"};
    static const char *const jails[] = {"", ".", "..", "A", "-a", ".new-x", "a/b", "a b", "a\n"};
    JailSettings settings;
    char long_name[300];

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        assert_int_equal(jail_settings_plain("one", &commands[i], 1, false, JAIL_OF_API, &settings),
                         -EINVAL);
        assert_null(settings.memory);
    }
    for (size_t i = 0; i < ARRAY_SIZE(jails); i++)
        assert_int_equal(jail_settings_plain(jails[i], NULL, 0, false, JAIL_OF_API, &settings),
                         -EINVAL);
    memset(long_name, 'a', sizeof long_name);
    long_name[64] = '\0';
    assert_int_equal(jail_settings_plain(long_name, NULL, 0, false, JAIL_OF_API, &settings),
                     -EINVAL);
    long_name[63] = '\0';
    assert_int_equal(jail_settings_plain(long_name, NULL, 0, false, JAIL_OF_API, &settings), 0);
    jail_settings_done(&settings);
}

static void there_is_an_end_to_commands(void **state)
{
    (void)state;
    static char names[POLICY_JAIL_COMMANDS_MAX + 1][16];
    static const char *pointers[POLICY_JAIL_COMMANDS_MAX + 1];
    static char longs[300][256];
    JailSettings settings;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(names[i], sizeof names[i], "c%zu", i);
        pointers[i] = names[i];
    }
    assert_int_equal(jail_settings_plain("one", pointers, POLICY_JAIL_COMMANDS_MAX, false,
                                         JAIL_OF_API, &settings),
                     0);
    /* All of it fits into a message. */
    Buffer buffer = BUFFER_EMPTY(JAIL_ENCODED_MAX);
    jail_settings_encode(&buffer, &settings, true);
    assert_int_equal(buffer.error, 0);
    buffer_done(&buffer);
    jail_settings_done(&settings);
    assert_int_equal(jail_settings_plain("one", pointers, POLICY_JAIL_COMMANDS_MAX + 1, false,
                                         JAIL_OF_API, &settings),
                     -E2BIG);
    for (size_t i = 0; i < ARRAY_SIZE(longs); i++) {
        memset(longs[i], 'a' + (int)(i % 26), 255);
        pointers[i] = longs[i];
    }
    assert_int_equal(jail_settings_plain("one", pointers, 300, false, JAIL_OF_API, &settings),
                     -E2BIG);
}

static void messages_say_the_same(void **state)
{
    (void)state;
    JailSettings settings = settings_of("one", JAIL_OF_API), heard;
    Buffer buffer = BUFFER_EMPTY(JAIL_ENCODED_MAX);

    settings.jail.wait_ms = 30000;
    settings.jail.limits.commands = 7;
    settings.jail.allow_root = true;
    jail_settings_encode(&buffer, &settings, true);
    Reader reader = reader_of(buffer_head(&buffer), buffer_size(&buffer));
    assert_int_equal(jail_settings_decode(&reader, &heard), 0);
    assert_true(reader_done(&reader));
    assert_true(jail_settings_equal(&settings, &heard));
    assert_int_equal(heard.source, JAIL_OF_API);
    jail_settings_done(&heard);
    /* Cut anywhere, it says nothing. */
    for (size_t size = 0; size < buffer_size(&buffer); size++) {
        reader = reader_of(buffer_head(&buffer), size);
        assert_int_equal(jail_settings_decode(&reader, &heard), -EPROTO);
        assert_null(heard.memory);
    }
    buffer_clear(&buffer);
    jail_settings_encode(&buffer, &settings, false);
    reader = reader_of(buffer_head(&buffer), buffer_size(&buffer));
    assert_int_equal(jail_settings_decode(&reader, &heard), 0);
    assert_int_equal(heard.jail.n_commands, 0);
    jail_settings_done(&heard);
    buffer_done(&buffer);
    jail_settings_done(&settings);
}

/* Every difference counts. */
static void settings_that_differ_are_not_equal(void **state)
{
    (void)state;
    JailSettings one = settings_of("one", JAIL_OF_API), other = settings_of("one", JAIL_OF_LABEL);

    assert_true(jail_settings_equal(&one, &other));
    other.jail.hardened = false;
    assert_false(jail_settings_equal(&one, &other));
    other.jail.hardened = true;
    other.jail.wait_ms = 0;
    assert_false(jail_settings_equal(&one, &other));
    other.jail.wait_ms = one.jail.wait_ms;
    other.jail.limits.bytes++;
    assert_false(jail_settings_equal(&one, &other));
    other.jail.limits = one.jail.limits;
    other.jail.n_commands = 1;
    assert_false(jail_settings_equal(&one, &other));
    other.jail.n_commands = 2;
    other.jail.allow_root = true;
    assert_false(jail_settings_equal(&one, &other));
    jail_settings_done(&one);
    jail_settings_done(&other);
}

/* Changes. */

static const char *const git_curl[] = {"git", "curl"}, *const git[] = {"git"};

static void a_new_jail_gets_the_defaults(void **state)
{
    (void)state;
    char problem[JAIL_PROBLEM_MAX];
    JailSettings settings;
    JailChange change = {.name = "bot",
                         .said = JAIL_CHANGE_COMMANDS,
                         .commands = {.items = git_curl, .n_items = 2},
                         .limits = {.pending = 3}};

    assert_int_equal(jail_change_apply(&change, NULL, &settings, problem), 0);
    assert_int_equal(settings.source, JAIL_OF_API);
    assert_int_equal(settings.jail.n_commands, 2);
    assert_string_equal(settings.jail.commands[0], "curl");
    assert_int_equal(settings.jail.limits.pending, 3);
    assert_int_equal(settings.jail.limits.commands, policy_jail_defaults("x").limits.commands);
    assert_true(settings.jail.wait_ms == UINT64_MAX);
    assert_false(settings.jail.hardened || settings.jail.allow_root);
    jail_settings_done(&settings);
}

static void what_is_not_said_stays(void **state)
{
    (void)state;
    char problem[JAIL_PROBLEM_MAX];
    static const char *const npm[] = {"npm", "nowhere"};
    JailSettings base = settings_of("bot", JAIL_OF_API), settings;
    JailChange change = {.name = "bot",
                         .add = {.items = git_curl, .n_items = 2},
                         .remove = {.items = npm, .n_items = 2}};

    base.jail.wait_ms = 5;
    assert_int_equal(jail_change_apply(&change, &base.jail, &settings, problem), 0);
    assert_int_equal(settings.jail.n_commands, 2);
    assert_string_equal(settings.jail.commands[0], "curl");
    assert_string_equal(settings.jail.commands[1], "git");
    assert_true(settings.jail.hardened && settings.jail.wait_ms == 5);
    jail_settings_done(&settings);
    change = (JailChange){.name = "bot", .said = JAIL_CHANGE_ALL_, .wait_ms = 0};
    assert_int_equal(jail_change_apply(&change, &base.jail, &settings, problem), 0);
    assert_int_equal(settings.jail.n_commands, 0);
    assert_false(settings.jail.hardened || settings.jail.wait_ms);
    jail_settings_done(&settings);
    jail_settings_done(&base);
}

static void a_bad_change_says_what_is_wrong(void **state)
{
    (void)state;
    static const char *const path[] = {"git", "a/b"}, *const dots[] = {".."},
                             *const line[] = {"a\nb"};
    static const struct {
        JailChange change;
        const char *words;
    } cases[] = {
        {{.name = "Bad"}, "small letters"},
        {{.name = "a", .commands = {path, 2}, .said = JAIL_CHANGE_COMMANDS}, "a/b: "},
        {{.name = "a", .add = {dots, 1}}, "..: "},
        {{.name = "a", .add = {line, 1}}, "a\\nb"},
        {{.name = "a", .limits = {.pending = 1000001}}, "1000000"},
        {{.name = "a", .limits = {.bytes = 1}}, "65536"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char problem[JAIL_PROBLEM_MAX];
        JailSettings settings;
        assert_int_equal(jail_change_apply(&cases[i].change, NULL, &settings, problem), 1);
        assert_null(settings.memory);
        if (!strstr(problem, cases[i].words))
            fail_msg("case %zu: %s", i, problem);
    }
}

static void changes_travel(void **state)
{
    (void)state;
    JailChange change = {.name = "bot",
                         .said = JAIL_CHANGE_COMMANDS | JAIL_CHANGE_WAIT,
                         .commands = {.items = git_curl, .n_items = 2},
                         .add = {.items = git, .n_items = 1},
                         .wait_ms = UINT64_MAX,
                         .limits = {.bytes = 65536}},
               heard;
    Buffer buffer = BUFFER_EMPTY(4096), words = BUFFER_EMPTY(4096);

    jail_change_encode(&buffer, &change);
    for (size_t size = 0; size < buffer_size(&buffer); size++) {
        Reader cut = reader_of(buffer_head(&buffer), size);
        assert_int_equal(jail_change_decode(&cut, &heard), -EPROTO);
    }
    Reader reader = reader_of(buffer_head(&buffer), buffer_size(&buffer));
    assert_int_equal(jail_change_decode(&reader, &heard), 0);
    assert_true(reader_done(&reader));
    assert_string_equal(heard.commands.items[1], "curl");
    assert_int_equal(heard.remove.n_items, 0);
    jail_change_describe(&heard, &words);
    _cleanup_free_ char *text = buffer_take_string(&words);
    assert_string_equal(text, "commands git curl, with git, wait true, bytes 65536");
    jail_change_done(&heard);
    buffer_done(&buffer);
}

/* The table. */

static void the_first_source_has_the_name(void **state)
{
    (void)state;
    JailTable table = {.items = NULL};
    static const JailSource order[] = {JAIL_OF_LABEL, JAIL_OF_POLICY, JAIL_OF_API};

    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        JailSettings settings = settings_of("twin", order[i]);
        assert_int_equal(jail_table_put_take(&table, &settings), 0);
        assert_null(settings.memory);
    }
    JailSettings other = settings_of("other", JAIL_OF_LABEL);
    assert_int_equal(jail_table_put_take(&table, &other), 0);
    assert_int_equal(table.n_items, 4);
    assert_int_equal(jail_table_find(&table, "twin")->source, JAIL_OF_POLICY);
    assert_int_equal(jail_table_count(&table, JAIL_OF_LABEL), 2);
    unsigned in_force = 0;
    for (size_t i = 0; i < table.n_items; i++)
        in_force += jail_table_is_in_force(&table, i);
    assert_int_equal(in_force, 2);
    assert_true(jail_table_remove(&table, "twin", JAIL_OF_POLICY));
    assert_false(jail_table_remove(&table, "twin", JAIL_OF_POLICY));
    assert_int_equal(jail_table_find(&table, "twin")->source, JAIL_OF_API);
    assert_int_equal(jail_table_find_of(&table, "twin", JAIL_OF_LABEL)->source, JAIL_OF_LABEL);
    assert_null(jail_table_find(&table, "twi"));
    assert_null(jail_table_find(&table, "twins"));
    jail_table_done(&table);
}

static void settings_are_replaced(void **state)
{
    (void)state;
    JailTable table = {.items = NULL};
    JailSettings first = settings_of("one", JAIL_OF_API), second;

    assert_int_equal(jail_table_put_take(&table, &first), 0);
    assert_int_equal(jail_settings_plain("one", git, 1, false, JAIL_OF_API, &second), 0);
    assert_int_equal(jail_table_put_take(&table, &second), 0);
    assert_int_equal(table.n_items, 1);
    assert_int_equal(jail_table_find(&table, "one")->jail.n_commands, 1);
    jail_table_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_sorted_and_each_stands_once),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(there_is_an_end_to_commands),
        cmocka_unit_test(messages_say_the_same),
        cmocka_unit_test(settings_that_differ_are_not_equal),
        cmocka_unit_test(a_new_jail_gets_the_defaults),
        cmocka_unit_test(what_is_not_said_stays),
        cmocka_unit_test(a_bad_change_says_what_is_wrong),
        cmocka_unit_test(changes_travel),
        cmocka_unit_test(the_first_source_has_the_name),
        cmocka_unit_test(settings_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
