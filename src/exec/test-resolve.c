/*
 * Finding programs: PATH, shims that must not be found, scripts, and who could change what.
 *
 * Kernel facts: sticky(7); a FUSE mount is not made here (it needs a server), only its type is
 * asked for. As root the tests about another user's rights run in a child that has become that
 * user.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "exec/environment.h"
#include "exec/resolve.h"
#include "exec/script.h"
#include "wire/shim-mark.h"

#define OTHER 1000

static char directory[] = "/tmp/clawrden-resolve-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void write_bytes(const char *path, const void *bytes, size_t size, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    (void)close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

/* The smallest file that counts as a shim: an ELF header, one program header, the note; the note
 * may lie far behind. */
static void write_shim(const char *path, size_t note_at)
{
    static char bytes[SHIM_FILE_MAX];
    struct {
        Elf64_Nhdr header;
        char owner[12];
    } note = {.header = {.n_namesz = sizeof SHIM_MARK_OWNER, .n_type = SHIM_MARK_TYPE},
              .owner = SHIM_MARK_OWNER};
    Elf64_Ehdr header = {.e_phoff = sizeof header, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1};
    Elf64_Phdr segment = {
        .p_type = PT_NOTE, .p_offset = note_at, .p_filesz = sizeof note, .p_align = 4};

    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, &segment, sizeof segment);
    memcpy(bytes + note_at, &note, sizeof note);
    write_bytes(path, bytes, note_at + sizeof note, 0755);
}

static const char elf[64] = "\177ELF\2\1\1";

static int set_up(void **state UNUSED)
{
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(mkdir(at("a"), 0755), 0);
    assert_int_equal(mkdir(at("b"), 0755), 0);
    assert_int_equal(mkdir(at("c"), 0755), 0);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *path_list(void)
{
    static char list[512];
    (void)snprintf(list, sizeof list, "::relative:.:%s/missing:%s/a:%s/b:%s/c", directory,
                   directory, directory, directory);
    return list;
}

static void assert_found(const char *name, const char *where)
{
    File file;
    Refusal refusal = {""};

    int result = resolve_name(name, path_list(), &file, &refusal);
    if (result != 0)
        print_message("%s\n", refusal.text);
    assert_int_equal(result, 0);
    assert_string_equal(file.path, where);
    file_done(&file);
}

static void assert_refused(const char *name, ExecFailure failure, const char *words)
{
    File file;
    Refusal refusal = {""};

    assert_int_equal(resolve_name(name, path_list(), &file, &refusal), failure);
    if (!strstr(refusal.text, words))
        print_message("%s\n", refusal.text);
    assert_non_null(strstr(refusal.text, words));
    assert_int_equal(file.fd, -EBADF);
}

static void test_path(void **state UNUSED)
{
    write_bytes(at("b/tool"), elf, sizeof elf, 0755);
    write_bytes(at("c/tool"), elf, sizeof elf, 0755);
    assert_found("tool", at("b/tool"));
    assert_refused("no-such-tool", EXEC_FAILURE_NOT_FOUND, "command not found: no-such-tool");
    assert_refused("", EXEC_FAILURE_NOT_FOUND, "command not found");
    assert_refused("..", EXEC_FAILURE_NOT_FOUND, "command not found");

    /* Not executable: passed over, and named when nothing better comes. */
    write_bytes(at("a/tool"), elf, sizeof elf, 0644);
    assert_found("tool", at("b/tool"));
    write_bytes(at("a/data"), elf, sizeof elf, 0644);
    assert_refused("data", EXEC_FAILURE_NOT_RUNNABLE, "Permission denied");

    /* Neither a directory nor a fifo is a program, and a fifo does not hold us up. */
    assert_int_equal(mkdir(at("a/thing"), 0755), 0);
    assert_refused("thing", EXEC_FAILURE_NOT_RUNNABLE, "Permission denied");
    assert_int_equal(mkfifo(at("a/pipe"), 0777), 0);
    assert_refused("pipe", EXEC_FAILURE_NOT_RUNNABLE, "Permission denied");
}

static void test_shims_are_not_found(void **state UNUSED)
{
    File file;
    Refusal refusal = {""};

    write_shim(at("a/git"), 128);
    assert_refused("git", EXEC_FAILURE_NOT_FOUND, "command not found: git");
    write_bytes(at("c/git"), elf, sizeof elf, 0755);
    assert_found("git", at("c/git"));

    /* By a link, with the note beyond the first page, and as the only thing at a typed path. */
    assert_int_equal(symlink(at("a/git"), at("a/link")), 0);
    assert_refused("link", EXEC_FAILURE_NOT_FOUND, "command not found");
    write_shim(at("a/far"), 60000);
    assert_refused("far", EXEC_FAILURE_NOT_FOUND, "command not found");
    assert_int_equal(resolve_path(at("a/git"), path_list(), &file, &refusal), 0);
    assert_string_equal(file.path, at("c/git"));
    file_done(&file);
}

/* Headers that lie about where the notes are end in "no shim" or a longer look, never outside. */
static void test_lying_headers(void **state UNUSED)
{
    static char bytes[8192];
    Elf64_Ehdr header = {.e_phoff = sizeof header, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
    Elf64_Phdr segments[2] = {{.p_type = PT_NOTE, .p_offset = UINT64_MAX, .p_filesz = 16},
                              {.p_type = PT_NOTE, .p_offset = 16, .p_filesz = UINT64_MAX}};

    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, segments, sizeof segments);
    write_bytes(at("a/liar"), bytes, sizeof bytes, 0755);
    assert_found("liar", at("a/liar"));
    header.e_phoff = UINT64_MAX - 3;
    memcpy(bytes, &header, sizeof header);
    write_bytes(at("a/liar"), bytes, sizeof bytes, 0755);
    assert_found("liar", at("a/liar"));
}

static void find_script(const char *path, Script *script, int expected, const char *words)
{
    File file;
    Refusal refusal = {""};

    assert_int_equal(resolve_path(path, path_list(), &file, &refusal), 0);
    script_init(script);
    int result = script_resolve(&file, path_list(), script, &refusal);
    if (result != expected || (words && !strstr(refusal.text, words)))
        print_message("%d %s\n", result, refusal.text);
    assert_int_equal(result, expected);
    if (words)
        assert_non_null(strstr(refusal.text, words));
    file_done(&file);
}

static void write_script(const char *name, const char *line)
{
    write_bytes(at(name), line, strlen(line), 0755);
}

static void test_scripts(void **state UNUSED)
{
    Script script;
    char line[300];

    write_bytes(at("c/interp"), elf, sizeof elf, 0755);
    (void)snprintf(line, sizeof line, "#!%s -x\n", at("c/interp"));
    write_script("one", line);
    find_script(at("one"), &script, 0, NULL);
    assert_string_equal(script.interpreter.path, at("c/interp"));
    assert_int_equal(script.n_words, 2);
    assert_string_equal(script.words[0], at("c/interp"));
    assert_string_equal(script.words[1], "-x");
    script_done(&script);

    /* An interpreter that is a script itself: as the kernel builds it. */
    (void)snprintf(line, sizeof line, "#!%s -y\n", at("one"));
    write_script("two", line);
    find_script(at("two"), &script, 0, NULL);
    assert_string_equal(script.interpreter.path, at("c/interp"));
    assert_int_equal(script.n_words, 4);
    assert_string_equal(script.words[0], at("c/interp"));
    assert_string_equal(script.words[1], "-x");
    assert_string_equal(script.words[2], at("one"));
    assert_string_equal(script.words[3], "-y");
    script_done(&script);

    /* env is done by us, and finds no shim; with anything more it is env's own business. */
    write_shim(at("a/interp"), 128);
    write_script("by-env", "#!/usr/bin/env interp\n");
    find_script(at("by-env"), &script, 0, NULL);
    assert_string_equal(script.interpreter.path, at("c/interp"));
    assert_int_equal(script.n_words, 1);
    assert_string_equal(script.words[0], "interp");
    script_done(&script);
    write_script("by-env", "#!/usr/bin/env -S interp -x\n");
    find_script(at("by-env"), &script, 0, NULL);
    assert_string_equal(resolve_basename(script.interpreter.path), "env");
    script_done(&script);

    /* A shim in the place of the interpreter. */
    (void)snprintf(line, sizeof line, "#!%s\n", at("a/interp"));
    write_script("by-shim", line);
    find_script(at("by-shim"), &script, 0, NULL);
    assert_string_equal(script.interpreter.path, at("c/interp"));
    script_done(&script);
}

static void test_bad_scripts(void **state UNUSED)
{
    Script script;
    char line[300];

    write_script("bad", "#!/no/such/interpreter\n");
    find_script(at("bad"), &script, EXEC_FAILURE_NOT_FOUND, "bad interpreter");
    script_done(&script);
    write_script("bad", "#!interp\n");
    find_script(at("bad"), &script, EXEC_FAILURE_NOT_RUNNABLE, "not an absolute path");
    script_done(&script);
    write_script("bad", "#!\n");
    find_script(at("bad"), &script, EXEC_FAILURE_NOT_RUNNABLE, "exec format error");
    script_done(&script);
    (void)snprintf(line, sizeof line, "#!%s\n", at("loop"));
    write_script("loop", line);
    find_script(at("loop"), &script, EXEC_FAILURE_NOT_RUNNABLE, "too many levels");
    script_done(&script);
    write_script("text", "echo no\n");
    (void)snprintf(line, sizeof line, "#!%s\n", at("text"));
    write_script("bad", line);
    find_script(at("bad"), &script, EXEC_FAILURE_NOT_RUNNABLE, "neither an ELF program");
    script_done(&script);
}

/* Judges `path` in a child that is OTHER (or whoever we are). */
static bool is_writable(const char *path, uid_t uid)
{
    int status = 0;

    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        File file;
        if (uid != geteuid() && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
                                 setresuid(uid, uid, uid) < 0))
            _exit(3);
        if (file_open(AT_FDCWD, path, FILE_TO_INTERPRET, &file) < 0)
            _exit(4);
        file_judge_writable(&file);
        _exit(file.writable);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status);
}

static void test_writable(void **state UNUSED)
{
    if (geteuid() != 0) {
        print_message("SKIPPED: needs root to be two users\n");
        skip();
    }
    /* /tmp is sticky and root's; our directory in it is root's too: OTHER can change nothing. */
    write_bytes(at("w"), elf, sizeof elf, 0755);
    assert_false(is_writable(at("w"), OTHER));
    assert_false(is_writable(at("w"), 0));
    assert_false(is_writable("/usr/bin/env", OTHER));

    assert_int_equal(chmod(at("w"), 0757), 0);
    assert_true(is_writable(at("w"), OTHER));
    assert_true(is_writable(at("w"), 0));
    assert_int_equal(chmod(at("w"), 0775), 0); /* the group is root's */
    assert_false(is_writable(at("w"), OTHER));
    assert_true(is_writable(at("w"), 0)); /* somebody but root could */

    /* Its own, even when not writable: it can make it so. */
    assert_int_equal(chmod(at("w"), 0555), 0);
    assert_int_equal(chown(at("w"), OTHER, OTHER), 0);
    assert_true(is_writable(at("w"), OTHER));
    assert_true(is_writable(at("w"), 0));
    assert_int_equal(chown(at("w"), 0, 0), 0);
    assert_false(is_writable(at("w"), OTHER));

    /* A directory on the way: replaceable unless sticky and neither is its own. */
    assert_int_equal(chmod(directory, 0777), 0);
    assert_true(is_writable(at("w"), OTHER));
    assert_int_equal(chmod(directory, 01777), 0);
    assert_false(is_writable(at("w"), OTHER));
    assert_int_equal(chown(directory, OTHER, OTHER), 0);
    assert_true(is_writable(at("w"), OTHER));
    assert_true(is_writable(at("w"), 0));
    assert_int_equal(chown(directory, 0, 0), 0);
    assert_int_equal(chmod(directory, 0755), 0);

    /* One level further up. */
    write_bytes(at("b/deep"), elf, sizeof elf, 0755);
    assert_false(is_writable(at("b/deep"), OTHER));
    assert_int_equal(chown(directory, OTHER, OTHER), 0);
    assert_true(is_writable(at("b/deep"), OTHER));
    assert_int_equal(chown(directory, 0, 0), 0);
}

/* acl(5) in its binary form (linux/posix_acl_xattr.h): OTHER may write, though the mode's "other"
 * bits say nothing of it. */
static void test_writable_by_acl(void **state UNUSED)
{
    const struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[5];
    } acl = {2,
             {{0x01, 7, UINT32_MAX},
              {0x02, 7, OTHER},
              {0x04, 5, UINT32_MAX},
              {0x10, 7, UINT32_MAX},
              {0x20, 5, UINT32_MAX}}};

    write_bytes(at("acl"), elf, sizeof elf, 0755);
    if (geteuid() != 0 || setxattr(at("acl"), "system.posix_acl_access", &acl, sizeof acl, 0) < 0) {
        print_message("SKIPPED: needs root and a file system with ACLs\n");
        skip();
    }
    assert_true(is_writable(at("acl"), OTHER));
    assert_false(is_writable(at("acl"), OTHER + 1));
}

/* A file that is gone, or another one in its place, cannot be vouched for. */
static void test_moved(void **state UNUSED)
{
    File file;

    write_bytes(at("moved"), elf, sizeof elf, 0755);
    write_bytes(at("b/deep"), elf, sizeof elf, 0755);
    assert_int_equal(file_open(AT_FDCWD, at("moved"), FILE_TO_EXECUTE, &file), 0);
    assert_int_equal(rename(at("b/deep"), at("moved")), 0);
    file_judge_writable(&file);
    assert_true(file.writable);
    file_done(&file);
}

static void assert_path(const char *list, const char *ordered)
{
    char entry[512], expected[512];

    (void)snprintf(entry, sizeof entry, "PATH=%s", list);
    (void)snprintf(expected, sizeof expected, "PATH=%s", ordered);
    _cleanup_free_ char *got = environment_order_path(entry);
    assert_non_null(got);
    assert_string_equal(got, expected);
}

/* Directories that the caller cannot change come first, the others keep their places after them. */
static void test_order_of_path(void **state UNUSED)
{
    char list[256], ordered[256];

    assert_path("", "");
    assert_path(":", ":");
    assert_path("/usr/bin", "/usr/bin");
    assert_path("x::/usr/bin:y:/bin:", "/usr/bin:/bin:x::y:");
    assert_path("/no/such/directory:/usr/bin", "/usr/bin:/no/such/directory");
    assert_int_equal(chmod(at("b"), 0777), 0);
    (void)snprintf(list, sizeof list, "%s:/usr/bin", at("b"));
    (void)snprintf(ordered, sizeof ordered, "/usr/bin:%s", at("b"));
    assert_path(list, ordered);
    assert_int_equal(chmod(at("b"), 0755), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_shims_are_not_found),
        cmocka_unit_test(test_lying_headers),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_bad_scripts),
        cmocka_unit_test(test_writable),
        cmocka_unit_test(test_writable_by_acl),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_order_of_path),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
