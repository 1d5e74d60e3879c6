/*
 * `#!` lines as the kernel reads them, and which argument of an interpreter is its script.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "exec/operand.h"
#include "exec/script.h"

static int parse(const char *text, size_t size, ScriptLine *ret)
{
    char head[FILE_HEAD_SIZE] = {0};
    memcpy(head, text, size < sizeof head ? size : sizeof head);
    return script_parse(head, ret);
}

static void test_lines(void **state UNUSED)
{
    static const struct {
        const char *text, *interpreter, *argument;
    } cases[] = {
        {"#!/bin/sh\n", "/bin/sh", NULL},
        {"#! /bin/sh\n", "/bin/sh", NULL},
        {"#!\t /bin/sh \t\n", "/bin/sh", NULL},
        {"#!/bin/sh -e\n", "/bin/sh", "-e"},
        {"#!/bin/sh -e  -u \t\nmore", "/bin/sh", "-e  -u"},
        {"#!/usr/bin/env -S a b c\n", "/usr/bin/env", "-S a b c"},
        {"#!/bin/sh", "/bin/sh", NULL},
        {"#!/bin/sh\r\n", "/bin/sh\r", NULL},
        {"#!relative\n", "relative", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ScriptLine line;
        assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &line), 0);
        assert_string_equal(line.interpreter, cases[i].interpreter);
        assert_int_equal(line.has_argument, cases[i].argument != NULL);
        if (cases[i].argument)
            assert_string_equal(line.argument, cases[i].argument);
    }
}

static void test_bad_lines(void **state UNUSED)
{
    static const char *const cases[] = {"#!", "#!\n", "#!  \t\n", "#! \n/bin/sh\n"};
    char text[2 * FILE_HEAD_SIZE];
    ScriptLine line;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(parse(cases[i], strlen(cases[i]), &line), -ENOEXEC);
    memset(text, 'a', sizeof text);
    memcpy(text, "#!/", 3);
    assert_int_equal(parse(text, sizeof text, &line), -ENOEXEC); /* the path does not end */
    text[200] = ' ';
    assert_int_equal(parse(text, sizeof text, &line),
                     0); /* the argument is cut, as by the kernel */
    assert_int_equal(strlen(line.interpreter), 198);
    assert_int_equal(strlen(line.argument), FILE_HEAD_SIZE - 1 - 201);
    memset(text, ' ', sizeof text);
    memcpy(text, "#!", 2);
    assert_int_equal(parse(text, sizeof text, &line), -ENOEXEC);
}

typedef struct OperandCase {
    const char *program;
    const char *words; /* separated by single spaces */
    OperandKind kind;
    const char *name; /* OPERAND_FILE */
} OperandCase;

static const OperandCase operand_cases[] = {
    {"/bin/dash", "sh deploy.sh", OPERAND_FILE, "deploy.sh"},
    {"/bin/bash", "bash -eo pipefail deploy.sh -c x", OPERAND_FILE, "deploy.sh"},
    {"/bin/bash", "bash -e -u -o pipefail -O extglob x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/bash", "bash --rcfile a x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/bash", "bash --norc -- x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/bash", "bash - x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/bash", "bash +x x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/bash", "bash -c true x.sh", OPERAND_NONE, NULL},
    {"/bin/bash", "bash -lc true", OPERAND_NONE, NULL},
    {"/bin/bash", "bash -c -x true", OPERAND_NONE, NULL},
    {"/bin/bash", "bash", OPERAND_STDIN, NULL},
    {"/bin/bash", "bash -s a b", OPERAND_STDIN, NULL},
    {"/bin/bash", "bash /dev/stdin", OPERAND_STDIN, NULL},
    {"/bin/bash", "bash --version", OPERAND_NONE, NULL},
    {"/bin/zsh", "zsh -o errexit x.zsh", OPERAND_FILE, "x.zsh"},
    {"/usr/bin/fish", "fish -c ls", OPERAND_NONE, NULL},
    {"/usr/bin/fish", "fish -C ls x.fish", OPERAND_FILE, "x.fish"},
    {"/usr/bin/python3.11", "python3 x.py -c y", OPERAND_FILE, "x.py"},
    {"/usr/bin/python3.11", "python3 -u -W ignore -Xdev x.py", OPERAND_FILE, "x.py"},
    {"/usr/bin/python3.11", "python3 -c pass x.py", OPERAND_NONE, NULL},
    {"/usr/bin/python3.11", "python3 -uc pass", OPERAND_NONE, NULL},
    {"/usr/bin/python3.11", "python3 -m http.server", OPERAND_NONE, NULL},
    {"/usr/bin/python3.11", "python3 -mhttp.server x.py", OPERAND_NONE, NULL},
    {"/usr/bin/python3.11", "python3 -", OPERAND_STDIN, NULL},
    {"/usr/bin/python3.11", "python3 -i", OPERAND_STDIN, NULL},
    {"/usr/bin/python3.11", "python3 -V", OPERAND_NONE, NULL},
    {"/usr/bin/python3.11", "python3 --check-hash-based-pycs always x.py", OPERAND_FILE, "x.py"},
    {"/usr/bin/perl", "perl -w -Ilib x.pl", OPERAND_FILE, "x.pl"},
    {"/usr/bin/perl", "perl -I lib x.pl", OPERAND_FILE, "x.pl"},
    {"/usr/bin/perl", "perl -pi.bak -e s/a/b/ x.txt", OPERAND_NONE, NULL},
    {"/usr/bin/perl", "perl -pe s/a/b/ x.txt", OPERAND_NONE, NULL},
    {"/usr/bin/perl", "perl -MData::Dumper x.pl", OPERAND_FILE, "x.pl"},
    {"/usr/bin/perl", "perl -S x.pl", OPERAND_UNCLEAR, NULL},
    {"/usr/bin/ruby3.1", "ruby -r json x.rb", OPERAND_FILE, "x.rb"},
    {"/usr/bin/ruby3.1", "ruby -C sub x.rb", OPERAND_UNCLEAR, NULL},
    {"/usr/bin/ruby3.1", "ruby -ne puts x", OPERAND_NONE, NULL},
    {"/usr/bin/node", "node app.js --port 1", OPERAND_FILE, "app.js"},
    {"/usr/bin/node", "node --require x.js app.js", OPERAND_FILE, "app.js"},
    {"/usr/bin/node", "node --require=x.js app.js", OPERAND_FILE, "app.js"},
    {"/usr/bin/node", "node --max-old-space-size=1 app.js", OPERAND_FILE, "app.js"},
    {"/usr/bin/node", "node -r x -- app.js", OPERAND_FILE, "app.js"},
    {"/usr/bin/node", "node -e 1 app.js", OPERAND_NONE, NULL},
    {"/usr/bin/node", "node --eval=1", OPERAND_NONE, NULL},
    {"/usr/bin/node", "node -p 1", OPERAND_NONE, NULL},
    {"/usr/bin/node", "node -v", OPERAND_NONE, NULL},
    {"/usr/bin/node", "node inspect app.js", OPERAND_FILE, "app.js"},
    {"/usr/bin/node", "node", OPERAND_STDIN, NULL},
    {"/usr/bin/php8.2", "php -d a=b x.php", OPERAND_FILE, "x.php"},
    {"/usr/bin/php8.2", "php -f x.php", OPERAND_FILE, "x.php"},
    {"/usr/bin/php8.2", "php -r 1; x.php", OPERAND_NONE, NULL},
    {"/usr/bin/lua5.4", "lua -l m x.lua", OPERAND_FILE, "x.lua"},
    {"/usr/bin/lua5.4", "lua -e 1 x.lua", OPERAND_FILE, "x.lua"},
    {"/usr/bin/lua5.4", "lua -e 1", OPERAND_NONE, NULL},
    {"/usr/bin/mawk", "awk {print} data", OPERAND_NONE, NULL},
    {"/usr/bin/mawk", "awk -F: -v a=b -f x.awk data", OPERAND_FILE, "x.awk"},
    {"/usr/bin/mawk", "awk -fx.awk data", OPERAND_FILE, "x.awk"},
    {"/usr/bin/gawk", "gawk --file=x.awk data", OPERAND_FILE, "x.awk"},
    {"/usr/bin/gawk", "gawk --file x.awk data", OPERAND_FILE, "x.awk"},
    {"/usr/bin/gawk", "gawk -f a.awk -f b.awk", OPERAND_UNCLEAR, NULL},
    {"/usr/bin/mawk", "awk -f /dev/stdin data", OPERAND_STDIN, NULL},
    {"/usr/bin/mawk", "awk -f - data", OPERAND_STDIN, NULL},
    {"/usr/bin/tclsh8.6", "tclsh x.tcl", OPERAND_FILE, "x.tcl"},
    {"/usr/bin/tclsh8.6", "tclsh -encoding utf-8 x.tcl", OPERAND_FILE, "x.tcl"},
    {"/usr/bin/Rscript", "Rscript --vanilla x.R", OPERAND_FILE, "x.R"},
    {"/usr/bin/Rscript", "Rscript -e 1", OPERAND_NONE, NULL},
    {"/bin/busybox", "busybox sh x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/busybox", "ash x.sh", OPERAND_FILE, "x.sh"},
    {"/bin/busybox", "busybox ls x.sh", OPERAND_NONE, NULL},
    {"/usr/bin/deno", "deno run --allow-net x.ts", OPERAND_FILE, "x.ts"},
    {"/usr/bin/bun", "bun run x.ts", OPERAND_FILE, "x.ts"},
    {"/usr/bin/psql", "psql -d x", OPERAND_STDIN, NULL},
    {"/usr/share/postgresql-common/pg_wrapper", "psql -d x", OPERAND_STDIN, NULL},
    {"/usr/share/postgresql-common/pg_wrapper", "createdb x", OPERAND_NONE, NULL},
    {"/usr/bin/vim.basic", "vi x", OPERAND_STDIN, NULL},
    {"/usr/bin/docker", "docker exec -it c sh", OPERAND_STDIN, NULL},
    {"/usr/bin/docker", "docker ps", OPERAND_NONE, NULL},
    {"/opt/kubernetes/kubectl-1.30", "kubectl -n x exec -it p -- sh", OPERAND_STDIN, NULL},
    {"/usr/bin/xargs", "xargs rm", OPERAND_STDIN, NULL},
    {"/usr/bin/git", "git push", OPERAND_NONE, NULL},
    {"/usr/bin/awk-like", "awk-like -f x", OPERAND_NONE, NULL},
};

static void test_operands(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(operand_cases); i++) {
        const OperandCase *test = &operand_cases[i];
        char words[256];
        const char *argv[32];
        size_t argc = 0;

        (void)snprintf(words, sizeof words, "%s", test->words);
        for (char *rest = words, *word; (word = strsep(&rest, " "));)
            argv[argc++] = word;
        argv[argc] = NULL;
        Operand operand = operand_find(test->program, argv, argc);
        if (operand.kind != test->kind)
            print_message("%s: %s\n", test->program, test->words);
        assert_int_equal(operand.kind, test->kind);
        if (test->name) {
            assert_true(operand.argument < argc);
            assert_string_equal(argv[operand.argument] + operand.offset, test->name);
        }
    }
}

/* Whatever the arguments, the answer stays inside them. */
static void test_operand_edges(void **state UNUSED)
{
    static const char *const programs[] = {"sh",  "python3", "perl", "node", "awk",
                                           "lua", "php",     "ruby", "fish", "busybox"};
    static const char *const words[] = {"",   "-",  "--", "-f",  "-o",     "-c",  "+",
                                        "-I", "-e", "=",  "--=", "--file", "-ff", "x"};

    for (size_t p = 0; p < ARRAY_SIZE(programs); p++) {
        for (size_t a = 0; a < ARRAY_SIZE(words); a++) {
            for (size_t b = 0; b < ARRAY_SIZE(words); b++) {
                const char *argv[] = {programs[p], words[a], words[b], NULL};
                for (size_t argc = 1; argc <= 3; argc++) {
                    Operand operand = operand_find(programs[p], argv, argc);
                    if (operand.kind != OPERAND_FILE)
                        continue;
                    assert_true(operand.argument < argc);
                    assert_true(operand.offset <= strlen(argv[operand.argument]));
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_operand_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
