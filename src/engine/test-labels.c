/*
 * What labels ask for, and what is made of labels that mean harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/labels.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void read_text(const char *json, const char *name, Labels *ret)
{
    json_t *object = json_loads(json, 0, NULL);

    assert_non_null(object);
    labels_read(object, name, ID, ret);
    json_decref(object);
}

static void test_what_they_ask_for(void **state)
{
    Labels labels;
    (void)state;

    read_text("{\"clawrden.enabled\":\"true\",\"clawrden.cmds\":\"npm, git\",\"other\":\"x\"}",
              "web", &labels);
    assert_true(labels.enabled);
    assert_false(labels.hardened);
    assert_string_equal(labels.problem, "");
    assert_string_equal(labels.jail, "web");
    assert_string_equal(labels.commands, "npm\ngit\n");

    read_text("{\"clawrden.enabled\":\"true\",\"clawrden.cmds\":\"g++\",\"clawrden.mode\":"
              "\"hardened\",\"clawrden.jail\":\"agent-1\"}",
              "Web", &labels);
    assert_true(labels.hardened);
    assert_string_equal(labels.jail, "agent-1");
    assert_string_equal(labels.commands, "g++\n");

    /* A container's name that cannot be a jail's. */
    read_text("{\"clawrden.enabled\":\"true\",\"clawrden.cmds\":\"git\"}", "Web_1", &labels);
    assert_string_equal(labels.jail, "container-0123456789ab");
    assert_string_equal(labels.problem, "");
}

static void test_who_is_left_alone(void **state)
{
    static const char *const cases[] = {"{}", "{\"clawrden.enabled\":\"false\"}",
                                        "{\"clawrden.enabled\":\"false\",\"clawrden.x\":\"y\"}",
                                        "{\"clawrden.hardened\":\"true\"}",
                                        "{\"clawrden.cmds\":\"git\"}"};
    Labels labels;
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        read_text(cases[i], "web", &labels);
        assert_false(labels.enabled);
    }
    labels_read(NULL, "web", ID, &labels);
    assert_false(labels.enabled);
}

static void test_slips_are_told(void **state)
{
    static const char *const cases[][2] = {
        {"\"clawrden.enabled\":\"True\"", "label clawrden.enabled=True: must be"},
        {"\"clawrden.enabled\":\"1\"", "label clawrden.enabled=1: must be"},
        {"\"clawrden.enabled\":\" true\"", "label clawrden.enabled= true: must be"},
        {"\"clawrden.enabled\":\"\"", "label clawrden.enabled=: must be"},
        {"\"clawrden.enabled\":\"true\",\"clawrden.hardened\":\"true\"",
         "label clawrden.hardened: there is no such label"},
        {"\"clawrden.enabled\":\"true\",\"clawrden.\\u001b[2J\":\"\"",
         "label clawrden.\\x1b[2J: there is no such label"},
    };
    Labels labels;
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *json;
        assert_true(asprintf(&json, "{%s,\"clawrden.cmds\":\"git\"}", cases[i][0]) > 0);
        read_text(json, "web", &labels);
        free(json);
        assert_true(labels.enabled);
        if (strncmp(labels.problem, cases[i][1], strlen(cases[i][1])) != 0)
            fail_msg("case %zu: %s", i, labels.problem);
        assert_string_equal(labels.commands, "");
    }
    /* An image cannot hide a container by a label that ghosts have. */
    read_text("{\"clawrden.enabled\":\"true\",\"clawrden.cmds\":\"git\",\"clawrden.ghost\":\"x\"}",
              "web", &labels);
    assert_true(labels.enabled);
    assert_string_equal(labels.problem, "");
}

static void test_labels_that_mean_harm(void **state)
{
    static const char *const cases[][2] = {
        {"\"clawrden.jail\":\"../x\",\"clawrden.cmds\":\"git\"", "label clawrden.jail=../x: "},
        {"\"clawrden.jail\":\"a\\nb\",\"clawrden.cmds\":\"git\"", "label clawrden.jail=a\\nb: "},
        {"\"clawrden.jail\":\"\",\"clawrden.cmds\":\"git\"", "label clawrden.jail=: "},
        {"\"clawrden.jail\":\"..\",\"clawrden.cmds\":\"git\"", "label clawrden.jail=..: "},
        {"\"clawrden.jail\":\"\\u001b[2J\",\"clawrden.cmds\":\"git\"",
         "label clawrden.jail=\\x1b[2J: "},
        {"\"clawrden.cmds\":\"../../bin/sh\"", "label clawrden.cmds=../../bin/sh: "},
        {"\"clawrden.cmds\":\"git,\"", "label clawrden.cmds=: "},
        {"\"clawrden.cmds\":\",\"", "label clawrden.cmds=: "},
        {"\"clawrden.cmds\":\"git,..\"", "label clawrden.cmds=..: "},
        {"\"clawrden.cmds\":\"a\\nb\"", "label clawrden.cmds=a\\nb: "},
        {"\"clawrden.cmds\":\"\"", "label clawrden.cmds: missing"},
        {"\"clawrden.mode\":\"x\"", "label clawrden.mode=x: must be"},
        {"\"clawrden.mode\":\"hard\\u202eened\",\"clawrden.cmds\":\"git\"",
         "label clawrden.mode=hard\\u{202e}ened: must be"},
        {"\"a\":\"b\"", "label clawrden.cmds: missing"},
    };
    Labels labels;
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *json;
        assert_true(asprintf(&json, "{\"clawrden.enabled\":\"true\",%s}", cases[i][0]) > 0);
        read_text(json, "web", &labels);
        free(json);
        if (strncmp(labels.problem, cases[i][1], strlen(cases[i][1])) != 0)
            fail_msg("case %zu: %s", i, labels.problem);
        assert_string_equal(labels.commands, "");
    }
}

static void test_labels_that_are_long(void **state)
{
    const size_t size = 1 << 20;
    char *text = malloc(size + 1);
    Labels *labels = malloc(sizeof *labels);
    (void)state;

    memset(text, 'a', size);
    text[size] = '\0';
    static const char *const names[] = {"clawrden.jail", "clawrden.cmds", "clawrden.mode"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        json_t *object = json_pack("{s:s, s:s, s:s}", "clawrden.enabled", "true", "clawrden.cmds",
                                   "git", names[i], text);
        labels_read(object, "web", ID, labels);
        json_decref(object);
        assert_true(labels->problem[0] != '\0' && strlen(labels->problem) < LABELS_PROBLEM_MAX);
    }
    for (size_t i = 1; i < size; i += 2)
        text[i] = ',';
    json_t *object = json_pack("{s:s, s:s}", "clawrden.enabled", "true", "clawrden.cmds", text);
    labels_read(object, text, ID, labels);
    json_decref(object);
    assert_string_equal(labels->problem, "label clawrden.cmds: too many commands");
    assert_string_equal(labels->jail, "container-0123456789ab");
    free(text);
    free(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_they_ask_for),    cmocka_unit_test(test_who_is_left_alone),
        cmocka_unit_test(test_slips_are_told),       cmocka_unit_test(test_labels_that_mean_harm),
        cmocka_unit_test(test_labels_that_are_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
