/*
 * The jailhouse and jails.json, in a directory of the test's own. What a prisoner could have put
 * into its jail's directory is put there first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* After the headers that it needs. */
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "jail/house.h"
#include "jail/kept.h"

static char top[64], path_room[4][256];

static const char *at(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *at(const char *format, ...)
{
    static unsigned turn;
    char *path = path_room[turn++ % ARRAY_SIZE(path_room)];
    va_list arguments;
    int size = snprintf(path, sizeof path_room[0], "%s/", top);

    va_start(arguments, format);
    (void)vsnprintf(path + size, sizeof path_room[0] - (size_t)size, format, arguments);
    va_end(arguments);
    return path;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    (void)close(fd);
}

static int arm(JailHouse *house, const char *text)
{
    write_file(at("shim"), text);
    _cleanup_fd_ int fd = open(at("shim"), O_RDONLY | O_CLOEXEC);
    return jail_house_arm(house, fd);
}

static int set_up(void **state)
{
    static JailHouse house;

    (void)umask(077); /* modes must not depend on it */
    (void)snprintf(top, sizeof top, "/tmp/test-house-XXXXXX");
    if (!mkdtemp(top) || mkdir(at("jails"), 0755) < 0 || mkdir(at("armory"), 0755) < 0 ||
        mkdir(at("elsewhere"), 0755) < 0 || jail_house_open(&house, top) < 0 ||
        arm(&house, "\177ELF first") < 0)
        return -1;
    write_file(at("elsewhere/precious"), "keep");
    *state = &house;
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    jail_house_close(*state);
    (void)snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command); /* NOLINT(cert-env33-c): a test's own words */
}

static int make(JailHouse *house, const char *name, const char *const *commands, size_t n_commands)
{
    JailSettings settings;

    assert_int_equal(jail_settings_plain(name, commands, n_commands, false, JAIL_OF_API, &settings),
                     0);
    int result = jail_house_make(house, &settings);
    jail_settings_done(&settings);
    return result;
}

static struct stat status_of(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return status;
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

static void assert_link(const char *path)
{
    char target[64] = "";
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    assert_string_equal(target, "../clawrden-shim");
}

static unsigned entries(const char *path)
{
    _cleanup_(closedirp)
    DIR *directory = opendir(path);
    unsigned count = 0;

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    return count;
}

static void assert_precious(void)
{
    _cleanup_free_ char *text = NULL;
    assert_int_equal(fd_read_file(AT_FDCWD, at("elsewhere/precious"), 100, &text, NULL), 0);
    assert_string_equal(text, "keep");
    assert_int_equal(entries(at("elsewhere")), 1);
}

static const char *const two[] = {"git", "npm"}, *const one[] = {"git"}, *const other[] = {"curl"};

static void a_jail_has_its_directory(void **state)
{
    assert_int_equal(make(*state, "bot", two, 2), 0);
    assert_int_equal(status_of(at("jails/bot")).st_mode, S_IFDIR | 0755);
    assert_int_equal(status_of(at("jails/bot/bin")).st_mode, S_IFDIR | 0755);
    struct stat shim = status_of(at("jails/bot/clawrden-shim"));
    assert_int_equal(shim.st_mode, S_IFREG | 0555);
    assert_int_equal(shim.st_nlink, 1); /* a copy: nobody else's shim is behind it */
    assert_int_equal(status_of(at("armory/clawrden-shim")).st_mode, S_IFREG | 0555);
    assert_link(at("jails/bot/bin/git"));
    assert_link(at("jails/bot/bin/npm"));
    assert_int_equal(entries(at("jails/bot/bin")), 2);
    assert_int_equal(entries(at("jails")), 1); /* nothing half made beside */
    assert_int_equal(access(at("jails/bot/bin/git"), X_OK), 0);
}

static int arm_launcher(JailHouse *house, const char *content)
{
    write_file(at("launcher"), content);
    _cleanup_fd_ int fd = open(at("launcher"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return jail_house_arm_launcher(house, fd);
}

/* Whoever runs it must not read it. */
static void a_jail_has_a_launcher_that_nobody_reads(void **state)
{
    assert_int_equal(make(*state, "bot", one, 1), 0);
    assert_false(exists(at("jails/bot/clawrden-launcher")));
    assert_int_equal(arm_launcher(*state, "no program"), -ENOEXEC);
    assert_int_equal(arm_launcher(*state, "\177ELF launcher"), 0);
    assert_int_equal(make(*state, "bot", one, 1), 0);
    struct stat launcher = status_of(at("jails/bot/clawrden-launcher"));
    assert_int_equal(launcher.st_mode, S_IFREG | 0111);
    assert_int_equal(launcher.st_size, strlen("\177ELF launcher"));
    assert_int_equal(launcher.st_nlink, 1);
    assert_int_equal(status_of(at("armory/clawrden-launcher")).st_mode, S_IFREG | 0500);
    assert_int_equal(chmod(at("jails/bot/clawrden-launcher"), 0755), 0);
    assert_int_equal(make(*state, "bot", one, 1), 0);
    assert_int_equal(status_of(at("jails/bot/clawrden-launcher")).st_mode, S_IFREG | 0111);
}

static void commands_come_and_go_in_place(void **state)
{
    assert_int_equal(make(*state, "bot", two, 2), 0);
    ino_t jail = status_of(at("jails/bot")).st_ino, bin = status_of(at("jails/bot/bin")).st_ino,
          git = status_of(at("jails/bot/bin/git")).st_ino,
          shim = status_of(at("jails/bot/clawrden-shim")).st_ino;
    assert_int_equal(make(*state, "bot", one, 1), 0);
    assert_false(exists(at("jails/bot/bin/npm")));
    assert_true(status_of(at("jails/bot/bin/git")).st_ino == git);
    assert_int_equal(make(*state, "bot", other, 1), 0);
    assert_false(exists(at("jails/bot/bin/git")));
    assert_link(at("jails/bot/bin/curl"));
    assert_int_equal(make(*state, "bot", NULL, 0), 0);
    assert_int_equal(entries(at("jails/bot/bin")), 0);
    assert_true(status_of(at("jails/bot")).st_ino == jail);
    assert_true(status_of(at("jails/bot/bin")).st_ino == bin);
    assert_true(status_of(at("jails/bot/clawrden-shim")).st_ino == shim);
}

static void a_new_shim_takes_the_old_ones_place(void **state)
{
    assert_int_equal(make(*state, "bot", one, 1), 0);
    ino_t jail = status_of(at("jails/bot")).st_ino;
    assert_int_equal(arm(*state, "\177ELF second"), 0);
    assert_int_equal(make(*state, "bot", one, 1), 0);
    _cleanup_free_ char *text = NULL;
    assert_int_equal(fd_read_file(AT_FDCWD, at("jails/bot/clawrden-shim"), 100, &text, NULL), 0);
    assert_string_equal(text, "\177ELF second");
    assert_true(status_of(at("jails/bot")).st_ino == jail);
    assert_int_equal(arm(*state, "#!/bin/sh"), -ENOEXEC);
    assert_int_equal(arm(*state, ""), -ENOEXEC);
}

/* Whatever a prisoner that may write there has made of it, nothing outside is touched. */
static void a_wrecked_jail_is_mended_without_following_anything(void **state)
{
    assert_int_equal(make(*state, "bot", two, 2), 0);
    ino_t jail = status_of(at("jails/bot")).st_ino;
    assert_int_equal(unlink(at("jails/bot/clawrden-shim")), 0);
    assert_int_equal(symlink(at("elsewhere/precious"), at("jails/bot/clawrden-shim")), 0);
    assert_int_equal(symlink(at("elsewhere/precious"), at("jails/bot/.clawrden-shim.new")), 0);
    assert_int_equal(rename(at("jails/bot/bin"), at("jails/bot/moved")), 0);
    assert_int_equal(symlink(at("elsewhere"), at("jails/bot/bin")), 0);
    assert_int_equal(symlink(at("elsewhere/precious"), at("jails/bot/warden.sock")), 0);
    assert_int_equal(make(*state, "bot", two, 2), 0);
    assert_precious();
    assert_true(status_of(at("jails/bot")).st_ino == jail);
    assert_int_equal(status_of(at("jails/bot/bin")).st_mode, S_IFDIR | 0755);
    assert_int_equal(status_of(at("jails/bot/clawrden-shim")).st_mode, S_IFREG | 0555);
    assert_false(exists(at("jails/bot/warden.sock")));
    assert_link(at("jails/bot/bin/git"));
    assert_int_equal(entries(at("jails")), 1);
}

static void what_stands_in_a_links_place_goes(void **state)
{
    assert_int_equal(make(*state, "bot", NULL, 0), 0);
    assert_int_equal(mkdir(at("jails/bot/bin/git"), 0700), 0);
    assert_int_equal(mkdir(at("jails/bot/bin/git/deep"), 0700), 0);
    assert_int_equal(symlink(at("elsewhere"), at("jails/bot/bin/git/deep/link")), 0);
    assert_int_equal(symlink(at("elsewhere/precious"), at("jails/bot/bin/npm")), 0);
    assert_int_equal(symlink("../clawrden-shimX", at("jails/bot/bin/longer")), 0);
    assert_int_equal(mkdir(at("jails/bot/clawrden-shim.dir"), 0700), 0);
    assert_int_equal(unlink(at("jails/bot/clawrden-shim")), 0);
    assert_int_equal(rename(at("jails/bot/clawrden-shim.dir"), at("jails/bot/clawrden-shim")), 0);
    assert_int_equal(make(*state, "bot", two, 2), 0);
    assert_link(at("jails/bot/bin/git"));
    assert_link(at("jails/bot/bin/npm"));
    assert_int_equal(entries(at("jails/bot/bin")), 2);
    assert_int_equal(status_of(at("jails/bot/clawrden-shim")).st_mode, S_IFREG | 0555);
    assert_precious();
}

static void sockets_stay(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(make(*state, "bot", one, 1), 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", at("jails/bot/warden.sock"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(make(*state, "bot", two, 2), 0);
    assert_true(S_ISSOCK(status_of(at("jails/bot/warden.sock")).st_mode));
}

static void what_stands_at_a_jails_place_is_not_ours(void **state)
{
    assert_int_equal(symlink(at("elsewhere"), at("jails/link")), 0);
    assert_int_equal(make(*state, "link", one, 1), -ENOTDIR);
    write_file(at("jails/file"), "x");
    assert_int_equal(make(*state, "file", one, 1), -ENOTDIR);
    assert_int_equal(mkdir(at("jails/open"), 0700), 0);
    assert_int_equal(chmod(at("jails/open"), 0777), 0);
    assert_int_equal(make(*state, "open", one, 1), -EPERM);
    assert_int_equal(entries(at("jails/open")), 0);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(at("jails/foreign"), 0755), 0);
        assert_int_equal(chown(at("jails/foreign"), 12345, 12345), 0);
        assert_int_equal(make(*state, "foreign", one, 1), -EPERM);
    }
    assert_precious();
}

static void a_removed_jail_is_gone_as_a_whole(void **state)
{
    assert_int_equal(make(*state, "bot", two, 2), 0);
    assert_int_equal(symlink(at("elsewhere"), at("jails/bot/planted")), 0);
    assert_int_equal(jail_house_remove(*state, "bot"), 0);
    assert_int_equal(entries(at("jails")), 0);
    assert_int_equal(jail_house_remove(*state, "bot"), 0);
    assert_int_equal(jail_house_remove(*state, ".."), -EINVAL);
    assert_int_equal(jail_house_remove(*state, "../armory"), -EINVAL);
    assert_true(exists(at("armory/clawrden-shim")));
    assert_precious();
}

static bool is_bot(const char *name, const void *userdata)
{
    (void)userdata;
    return strcmp(name, "bot") == 0;
}

static void halves_and_the_unwanted_are_swept(void **state)
{
    assert_int_equal(make(*state, "bot", one, 1), 0);
    assert_int_equal(make(*state, "gone", two, 2), 0);
    assert_int_equal(rename(at("jails/gone"), at("jails/.new-half")), 0);
    assert_int_equal(make(*state, "gone", two, 2), 0);
    assert_int_equal(rename(at("jails/gone"), at("jails/.old-0")), 0);
    assert_int_equal(make(*state, "gone", two, 2), 0);
    assert_int_equal(symlink(at("elsewhere"), at("jails/link")), 0);
    write_file(at("armory/.clawrden-shim.new"), "half");
    jail_house_close(*state);
    assert_int_equal(jail_house_open(*state, top), 0);
    assert_false(exists(at("jails/.new-half")) || exists(at("jails/.old-0")) ||
                 exists(at("armory/.clawrden-shim.new")));
    assert_true(exists(at("jails/gone")));
    jail_house_sweep(*state, is_bot, NULL);
    assert_false(exists(at("jails/gone")));
    assert_true(exists(at("jails/bot")) && exists(at("jails/link")));
    assert_precious();
}

/* A tree that cannot be removed in one go is out of the way all the same. */
static void a_deep_tree_does_not_stop_anything(void **state)
{
    char path[256];

    assert_int_equal(make(*state, "bot", NULL, 0), 0);
    int size = snprintf(path, sizeof path, "%s", at("jails/bot/bin/git"));
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(mkdir(path, 0700), 0);
        size += snprintf(path + size, sizeof path - (size_t)size, "/d");
    }
    assert_int_equal(make(*state, "bot", one, 1), 0);
    assert_link(at("jails/bot/bin/git"));
}

static void without_a_shim_there_are_links_all_the_same(void **state)
{
    JailHouse *house = *state;

    house->has_shim = false;
    assert_int_equal(make(house, "bot", one, 1), 0);
    assert_link(at("jails/bot/bin/git"));
    assert_false(exists(at("jails/bot/clawrden-shim")));
}

/* jails.json */

static int open_top(void)
{
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void kept_jails_come_back(void **state)
{
    (void)state;
    _cleanup_fd_ int directory = open_top();
    JailTable table = {.items = NULL}, read = {.items = NULL};
    JailSettings settings;
    char *problem = NULL;

    assert_int_equal(jails_kept_read(directory, &read, &problem), 0); /* there is none */
    assert_int_equal(read.n_items, 0);
    for (JailSource source = JAIL_OF_POLICY; source < JAIL_SOURCE_MAX_; source++) {
        assert_int_equal(jail_settings_plain("a", two, 2, true, source, &settings), 0);
        settings.jail.wait_ms = source == JAIL_OF_API ? 30000 : UINT64_MAX;
        assert_int_equal(jail_table_put_take(&table, &settings), 0);
    }
    assert_int_equal(jail_settings_plain("b", NULL, 0, false, JAIL_OF_API, &settings), 0);
    assert_int_equal(jail_table_put_take(&table, &settings), 0);
    assert_int_equal(jails_kept_write(directory, &table), 0);
    assert_int_equal(status_of(at("jails.json")).st_mode, S_IFREG | 0600);
    assert_int_equal(jails_kept_read(directory, &read, &problem), 0);
    assert_int_equal(read.n_items, 2);
    for (size_t i = 0; i < read.n_items; i++)
        assert_true(jail_settings_equal(
            &read.items[i], jail_table_find_of(&table, read.items[i].jail.name, JAIL_OF_API)));
    jail_table_done(&table);
    jail_table_done(&read);
}

static void a_broken_file_is_left_alone(void **state)
{
    (void)state;
#define LIMITS "\"limits\":{\"pending\":1,\"connections\":1,\"bytes\":1,\"commands\":1}"
#define JAIL(name, commands)                                                                       \
    "{\"name\":\"" name "\",\"commands\":" commands ",\"hardened\":true,\"wait_ms\":0," LIMITS "}"
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"version\":2,\"jails\":[]}",
        "{\"version\":1}",
        "{\"version\":1,\"version\":1,\"jails\":[]}",
        "{\"version\":1,\"jails\":[{}]}",
        "{\"version\":1,\"jails\":[" JAIL("a", "[]") "," JAIL("a", "[]") "]}",
        "{\"version\":1,\"jails\":[" JAIL("b", "[]") "," JAIL("..", "[]") "]}",
        "{\"version\":1,\"jails\":[" JAIL("b", "[\"x/y\"]") "]}",
        "{\"version\":1,\"jails\":[" JAIL("b", "[1]") "]}",
        "{\"version\":1,\"jails\":[" JAIL("b", "[]") "]} trailing",
    };
    _cleanup_fd_ int directory = open_top();

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        JailTable table = {.items = NULL};
        char *problem = NULL;
        write_file(at("jails.json"), texts[i]);
        assert_int_equal(jails_kept_read(directory, &table, &problem), 1);
        assert_non_null(problem);
        assert_int_equal(table.n_items, 0);
        free(problem);
        _cleanup_free_ char *after = NULL;
        assert_int_equal(fd_read_file(directory, "jails.json", 1000, &after, NULL), 0);
        assert_string_equal(after, texts[i]);
        jail_table_done(&table);
    }
}

static void only_our_own_file_is_read(void **state)
{
    (void)state;
    _cleanup_fd_ int directory = open_top();
    JailTable table = {.items = NULL};
    char *problem = NULL;

    write_file(at("real"), "{\"version\":1,\"jails\":[]}");
    assert_int_equal(symlink("real", at("jails.json")), 0);
    assert_int_equal(jails_kept_read(directory, &table, &problem), 1);
    free(problem);
    assert_int_equal(unlink(at("jails.json")), 0);
    assert_int_equal(rename(at("real"), at("jails.json")), 0);
    assert_int_equal(chmod(at("jails.json"), 0666), 0);
    assert_int_equal(jails_kept_read(directory, &table, &problem), 1);
    free(problem);
    assert_int_equal(unlink(at("jails.json")), 0);
    assert_int_equal(mkfifo(at("jails.json"), 0600), 0);
    assert_int_equal(jails_kept_read(directory, &table, &problem), 1);
    free(problem);
}

/* What cannot be written leaves what is there; what a crash has left is no hindrance. */
static void the_old_file_stands_until_the_new_one_does(void **state)
{
    (void)state;
    _cleanup_fd_ int directory = open_top();
    JailTable table = {.items = NULL};

    write_file(at("jails.json"), "old");
    assert_int_equal(mkdir(at(".jails.json.new"), 0700), 0);
    assert_true(jails_kept_write(directory, &table) < 0);
    _cleanup_free_ char *text = NULL;
    assert_int_equal(fd_read_file(directory, "jails.json", 100, &text, NULL), 0);
    assert_string_equal(text, "old");
    assert_int_equal(rmdir(at(".jails.json.new")), 0);
    assert_int_equal(symlink("elsewhere/precious", at(".jails.json.new")), 0);
    assert_int_equal(jails_kept_write(directory, &table), 0);
    assert_precious();
    assert_true(S_ISREG(status_of(at("jails.json")).st_mode));
    assert_false(exists(at(".jails.json.new")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_jail_has_its_directory),
        TEST(a_jail_has_a_launcher_that_nobody_reads),
        TEST(commands_come_and_go_in_place),
        TEST(a_new_shim_takes_the_old_ones_place),
        TEST(a_wrecked_jail_is_mended_without_following_anything),
        TEST(what_stands_in_a_links_place_goes),
        TEST(sockets_stay),
        TEST(what_stands_at_a_jails_place_is_not_ours),
        TEST(a_removed_jail_is_gone_as_a_whole),
        TEST(halves_and_the_unwanted_are_swept),
        TEST(a_deep_tree_does_not_stop_anything),
        TEST(without_a_shim_there_are_links_all_the_same),
        TEST(kept_jails_come_back),
        TEST(a_broken_file_is_left_alone),
        TEST(only_our_own_file_is_read),
        TEST(the_old_file_stands_until_the_new_one_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
