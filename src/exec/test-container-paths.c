/*
 * Which container a process belongs to is read right from its cgroups and mounts, as each engine
 * lays them out (taken from machines that run them), and nothing that only looks like a name is
 * taken for one.
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
#include "exec/container-paths.h"

#define ID "a6ebfc3dc9543f792642a07af87c1d42d9739747f7f9935e29fa320c70ade5d3"
#define OTHER "b6ebfc3dc9543f792642a07af87c1d42d9739747f7f9935e29fa320c70ade5d3"

static Piece piece(const char *text)
{
    return (Piece){.at = text, .size = strlen(text)};
}

static void test_names(void **state UNUSED)
{
    static const struct {
        const char *path, *id, *engine, *own;
    } cases[] = {
        {"/docker/" ID, ID, "docker", "/docker/" ID},
        {"/docker/" ID "/init.scope", ID, "docker", "/docker/" ID},
        {"/system.slice/docker-" ID ".scope", ID, "docker", "/system.slice/docker-" ID ".scope"},
        {"/machine.slice/libpod-" ID ".scope/container", ID, "podman",
         "/machine.slice/libpod-" ID ".scope"},
        {"/libpod_parent/libpod-" ID, ID, "podman", "/libpod_parent/libpod-" ID},
        {"/kubepods/burstable/pod1f/" ID, ID, "kubernetes", "/kubepods/burstable/pod1f/" ID},
        {"/kubepods.slice/kubepods-podx.slice/cri-containerd-" ID ".scope", ID, "containerd",
         "/kubepods.slice/kubepods-podx.slice/cri-containerd-" ID ".scope"},
        {"/kubepods.slice/crio-" ID ".scope", ID, "cri-o", "/kubepods.slice/crio-" ID ".scope"},
        {"/default/" ID, ID, "containerd", "/default/" ID},
        {"/elsewhere/" ID, ID, "", "/elsewhere/" ID},
        {"/lxc.payload.web-1/init.scope", "web-1", "lxc", "/lxc.payload.web-1"},
        {"/lxc.payload/web.1", "web.1", "lxc", "/lxc.payload/web.1"},
        {"/lxc/web", "web", "lxc", "/lxc/web"},
        /* An engine within: the outer container is the prisoner. */
        {"/docker/" ID "/docker/" OTHER, ID, "docker", "/docker/" ID},
    };
    char id[CONTAINER_ID_SIZE], engine[CONTAINER_ENGINE_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(cgroup_path_container(piece(cases[i].path), id, engine),
                         strlen(cases[i].own));
        assert_string_equal(id, cases[i].id);
        assert_string_equal(engine, cases[i].engine);
    }
}

static void test_no_names(void **state UNUSED)
{
    static const char *const paths[] = {
        "/",
        "",
        "/docker",
        "/docker/",
        "/user.slice/user-1000.slice/session-1.scope",
        "/docker/" ID "0", /* 65 digits */
        "/docker/6"
        "ebfc3dc9543f792642a07af87c1d42", /* too few */
        "/x" ID,                          /* no dash */
        "/docker/A6EBFC3DC9543F792642A07AF87C1D42D9739747F7F9935E29FA320C70ADE5D3",
        "/machine.slice/libpod-conmon-" ID ".scope", /* the monitor, not the container */
        "/lxc.monitor.web",
        "/lxc.payload.",
        "/lxc/..",
        "/lxc.payload.a b",
        "/lxc.payload.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    };
    char id[CONTAINER_ID_SIZE], engine[CONTAINER_ENGINE_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        assert_int_equal(cgroup_path_container(piece(paths[i]), id, engine), 0);
}

static void test_lines(void **state UNUSED)
{
    const char *text = "9:name=systemd:/docker/x\n3:cpu,cpuacct:/a:b\nnonsense\n7:pids:relative\n\n"
                       "0::/last";
    CgroupLine line;

    assert_true(cgroup_line_next(&text, &line));
    assert_true(piece_is(line.hierarchy, "name=systemd"));
    assert_true(piece_is(line.path, "/docker/x"));
    assert_true(cgroup_line_next(&text, &line));
    assert_true(piece_is(line.hierarchy, "cpu,cpuacct"));
    assert_true(piece_is(line.path, "/a:b"));
    assert_true(cgroup_line_next(&text, &line));
    assert_int_equal(line.hierarchy.size, 0);
    assert_true(piece_is(line.path, "/last"));
    assert_false(cgroup_line_next(&text, &line));
}

static void test_within(void **state UNUSED)
{
    assert_true(cgroup_path_is_within(piece("/docker/a"), piece("/docker/a")));
    assert_true(cgroup_path_is_within(piece("/docker/a/b"), piece("/docker/a")));
    assert_true(cgroup_path_is_within(piece("/x"), piece("/")));
    assert_false(cgroup_path_is_within(piece("/docker/ab"), piece("/docker/a")));
    assert_false(cgroup_path_is_within(piece("/docker"), piece("/docker/a")));
    assert_false(cgroup_path_is_within(piece("/"), piece("/docker/a")));
}

static const char mounts[] =
    "22 1 0:20 / /sys rw shared:7 - sysfs sysfs rw\n"
    "30 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:3 - cgroup cgroup rw,cpu,cpuacct\n"
    "36 30 0:33 / /sys/fs/cgroup/free\\040zer rw - cgroup cgroup rw,freezer\n"
    "39 30 0:36 /sub /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
    "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

static void assert_directory(const char *hierarchy, const char *path, const char *wanted)
{
    const CgroupLine line = {.hierarchy = piece(hierarchy), .path = piece(path)};
    char directory[256] = "";

    assert_int_equal(cgroup_line_directory(mounts, &line, directory, sizeof directory),
                     wanted ? 0 : -ENOENT);
    if (wanted)
        assert_string_equal(directory, wanted);
}

static void test_directories(void **state UNUSED)
{
    const CgroupLine line = {.hierarchy = piece(""), .path = piece("/docker/x")};
    char small[16];

    assert_directory("cpu,cpuacct", "/docker/x", "/sys/fs/cgroup/cpu,cpuacct/docker/x");
    assert_directory("cpuacct", "/", "/sys/fs/cgroup/cpu,cpuacct");
    assert_directory("freezer", "/x", "/sys/fs/cgroup/free zer/x");
    assert_directory("name=systemd", "/sub/x", "/sys/fs/cgroup/systemd/x");
    assert_directory("name=systemd", "/subway", NULL);
    assert_directory("", "/docker/x", "/sys/fs/cgroup/unified/docker/x");
    assert_directory("memory", "/", NULL);
    assert_directory("cpu,memory", "/", NULL);
    assert_int_equal(cgroup_line_directory(mounts, &line, small, sizeof small), -ENAMETOOLONG);
}

static void test_writable(void **state UNUSED)
{
    Piece place;

    assert_true(mounts_have_writable_cgroup(mounts, &place));
    assert_true(piece_is(place, "/sys/fs/cgroup/cpu,cpuacct"));
    /* The file system's own "rw" says nothing about this mount of it. */
    assert_false(mounts_have_writable_cgroup(
        "77 76 0:28 /docker/x /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu\n"
        "78 76 0:45 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n",
        &place));
    assert_true(
        mounts_have_writable_cgroup("77 76 0:28 / /x nosuid,rw - cgroup2 none rw\n", &place));
}

static void test_shims(void **state UNUSED)
{
    const char *text = "9 8 0:3 /a /clawrden-shim ro - tmpfs /clawrden-shim rw\n"
                       "9 8 0:3 /jails/a/clawrden-shim /usr/bin/my\\040git ro - tmpfs t rw\n"
                       "9 8 0:3 / / ro - overlay o rw\n"
                       "9 8 0:3 /armory/clawrden-shim /bin/sh rw - ext4 t rw\n";
    char place[32], small[8];
    const char *again = text;

    assert_true(mounts_next_shim(&text, place, sizeof place));
    assert_string_equal(place, "/usr/bin/my git");
    assert_true(mounts_next_shim(&text, place, sizeof place));
    assert_string_equal(place, "/bin/sh");
    assert_false(mounts_next_shim(&text, place, sizeof place));
    assert_false(mounts_next_shim(&again, small, sizeof small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_no_names),
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_within),
        cmocka_unit_test(test_directories), cmocka_unit_test(test_writable),
        cmocka_unit_test(test_shims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
