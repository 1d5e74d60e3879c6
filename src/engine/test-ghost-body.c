/*
 * What is asked of the engine: what a ghost sees of its caller's view, and what it may have. It
 * relies on documents as docker 20.10 writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "docker/decode.h"
#include "engine/ghost-body.h"

#define BIND(source, target, rw)                                                                   \
    "{\"Type\":\"bind\",\"Source\":\"" source "\",\"Destination\":\"" target "\",\"RW\":" rw "}"
#define VOLUME(name, target)                                                                       \
    "{\"Type\":\"volume\",\"Name\":\"" name "\",\"Source\":\"/v\",\"Destination\":\"" target       \
    "\",\"RW\":true}"

static json_t *document(const char *text)
{
    json_t *json = engine_decode_json(text, strlen(text));
    assert_non_null(json);
    return json;
}

/* The mounts as text, or the reason why there are none; the caller frees. */
static char *mounts_of(const char *inspect, const char *cwd)
{
    char why[GHOST_WHY_MAX] = "";
    json_t *json = document(inspect), *mounts = NULL;
    int result = ghost_mounts_of_container(json, cwd, &mounts, why);
    char *text = result == 0 ? json_dumps(mounts, JSON_COMPACT | JSON_SORT_KEYS) : strdup(why);

    assert_true(result == 0 || result == 1);
    json_decref(json);
    if (result == 0)
        json_decref(mounts);
    assert_non_null(text);
    return text;
}

static void expect(const char *inspect, const char *cwd, const char *part)
{
    _cleanup_free_ char *text = mounts_of(inspect, cwd);
    if (!strstr(text, part))
        fail_msg("%s in %s: %s", cwd, inspect, text);
}

static void expect_not(const char *inspect, const char *cwd, const char *part)
{
    _cleanup_free_ char *text = mounts_of(inspect, cwd);
    if (strstr(text, part))
        fail_msg("%s in %s: %s", cwd, inspect, text);
}

static void the_mount_of_the_directory_and_no_other(void **state)
{
    static const char inspect[] = "{\"Mounts\":[" BIND("/srv/app", "/app", "true") "," BIND(
        "/srv/other", "/application", "true") "," BIND("/etc", "/host", "true") "]}";
    (void)state;
    expect(inspect, "/app", "\"Source\":\"/srv/app\",\"Target\":\"/app\"");
    expect(inspect, "/app/deep/er", "\"ReadOnly\":false");
    expect_not(inspect, "/app/deep", "/srv/other");
    expect_not(inspect, "/app/deep", "/etc");
    expect(inspect, "/application/x", "\"Source\":\"/srv/other\"");
    expect(inspect, "/apple", "no bind mount");
    expect(inspect, "/", "no bind mount");
    expect("{\"Mounts\":[]}", "/app", "no bind mount");
    expect("{}", "/app", "no bind mount");
}

static void what_lies_beneath_comes_along(void **state)
{
    static const char inspect[] = "{\"Mounts\":[" BIND("/srv/app", "/app", "true") "," VOLUME(
        "cache", "/app/cache") "],"
                               "\"HostConfig\":{\"Tmpfs\":{\"/app/secret\":\"\",\"/tmp\":\"\"}}}";
    (void)state;
    expect(inspect, "/app", "\"Source\":\"cache\",\"Target\":\"/app/cache\",\"Type\":\"volume\"");
    expect(inspect, "/app", "{\"Target\":\"/app/secret\",\"Type\":\"tmpfs\"}");
    expect_not(inspect, "/app", "\"/tmp\"");
    expect(inspect, "/app/cache/x", "\"Source\":\"cache\"");
    expect_not(inspect, "/app/cache/x", "/srv/app");
    expect(inspect, "/app/secret", "no bind mount");
    expect(inspect, "/tmp/x", "no bind mount");
}

static void no_more_than_the_caller_sees(void **state)
{
    (void)state;
    expect("{\"Mounts\":[" BIND("/srv", "/app", "false") "]}", "/app", "\"ReadOnly\":true");
    expect("{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/srv\",\"Destination\":\"/app\"}]}",
           "/app", "not known");
    expect("{\"Mounts\":[" VOLUME("v", "/app") "],\"HostConfig\":{\"Mounts\":[{\"Target\":\"/app\","
                                               "\"VolumeOptions\":{\"Subpath\":\"a\"}}]}}",
           "/app", "a part of a volume");
    expect("{\"Mounts\":[" BIND(
               "/srv", "/app",
               "true") "],\"HostConfig\":{\"Mounts\":["
                       "{\"Target\":\"/app\",\"BindOptions\":{\"NonRecursive\":true}}]}}",
           "/app", "\"NonRecursive\":true");
    expect("{\"Mounts\":[" BIND("/srv", "/app", "true") ",{\"Type\":\"npipe\",\"Destination\":"
                                                        "\"/app/x\",\"RW\":true}]}",
           "/app", "of a kind");
    expect("{\"Mounts\":[" BIND("/srv", "/app", "true") "," BIND("/x", "/app/../y", "true") "]}",
           "/app", "not clear");
    expect("{\"Mounts\":[" BIND("srv", "/app", "true") "]}", "/app", "of a kind");
}

static void programs_of_the_image_are_not_hidden(void **state)
{
    static const char *const wrong[] = {"/usr/local/bin", "/usr",  "/etc/x",
                                        "/lib",           "/proc", "/run/x"};
    char inspect[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        (void)snprintf(inspect, sizeof inspect,
                       "{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/srv\",\"Destination\":\"%s\","
                       "\"RW\":true}]}",
                       wrong[i]);
        expect(inspect, wrong[i], "would hide programs");
    }
    expect("{\"Mounts\":[" BIND("/srv", "/usr/src/app", "true") "]}", "/usr/src/app", "/srv");
}

static char *security_of(const char *options, int *ret_result)
{
    char why[GHOST_WHY_MAX] = "";
    char text[512];
    json_t *security = NULL;

    (void)snprintf(text, sizeof text, "{\"HostConfig\":{\"SecurityOpt\":%s}}", options);
    json_t *inspect = document(text);
    *ret_result = ghost_security_of_container(inspect, &security, why);
    char *found = *ret_result == 0 ? json_dumps(security, JSON_COMPACT) : strdup(why);
    json_decref(inspect);
    json_decref(security);
    return found;
}

static void what_confines_the_caller_confines_its_ghosts(void **state)
{
    static const struct {
        const char *options, *expected;
    } cases[] = {
        {"null", "[]"},
        {"[\"no-new-privileges\"]", "[]"},
        {"[\"seccomp=unconfined\",\"apparmor=unconfined\",\"label=disable\",\"seccomp:"
         "unconfined\"]",
         "[]"},
        {"[\"seccomp={\\\"a\\\":1}\",\"no-new-privileges:true\",\"apparmor=mine\"]",
         "[\"seccomp={\\\"a\\\":1}\",\"apparmor=mine\"]"},
        {"[\"label=type:x\",\"systempaths=unconfined\",\"label:level:s0\"]",
         "[\"label=type:x\",\"label:level:s0\"]"},
    };
    int result = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *found = security_of(cases[i].options, &result);
        assert_int_equal(result, 0);
        assert_string_equal(found, cases[i].expected);
    }
    free(security_of("[1]", &result));
    assert_int_equal(result, 1);
    free(security_of("\"seccomp=x\"", &result));
    assert_int_equal(result, 1);
}

static int look_at_image(const char *path, char why[static GHOST_WHY_MAX])
{
    char text[512];
    const char *id = NULL;
    json_t *mounts = document("[{\"Target\":\"/app\"}]");

    (void)snprintf(text, sizeof text,
                   "{\"Id\":\"sha256:1\",\"Config\":{\"Env\":[\"A=b\",\"PATH=%s\"]}}", path);
    json_t *inspect = document(text);
    int result = ghost_image_of(inspect, mounts, &id, why);
    if (result == 0)
        assert_string_equal(id, "sha256:1");
    json_decref(inspect);
    json_decref(mounts);
    return result;
}

static void an_image_must_not_look_into_the_workspace(void **state)
{
    char why[GHOST_WHY_MAX];

    (void)state;
    assert_int_equal(look_at_image("/usr/local/bin:/usr/bin:/application", why), 0);
    /* An empty entry is the working directory. */
    assert_int_equal(look_at_image("", why), 1);
    assert_int_equal(look_at_image(":/usr/bin", why), 1);
    assert_int_equal(look_at_image("/usr/bin::/bin", why), 1);
    assert_int_equal(look_at_image("/usr/bin:", why), 1);
    assert_int_equal(look_at_image("/bin:/app", why), 1);
    assert_int_equal(look_at_image("/app/node_modules/.bin:/bin", why), 1);
    assert_int_equal(look_at_image("/bin:.", why), 1);
    assert_int_equal(look_at_image("/bin:/x/../app", why), 1);
    json_t *none = document("{\"Config\":{}}"), *bare = document("{\"Id\":\"sha256:1\"}");
    const char *id = NULL;
    assert_int_equal(ghost_image_of(bare, NULL, &id, why), 0);
    json_decref(bare);
    assert_int_equal(ghost_image_of(none, NULL, &id, why), -EPROTO);
    json_decref(none);
}

static json_t *body_of(const char *const *argv, size_t argc, const char *const *env, size_t envc,
                       int *ret_result)
{
    static const gid_t groups[] = {4};
    const GhostOrder order = {.request = "R1",
                              .command = "npm",
                              .cwd = "/app/x",
                              .uid = 1000,
                              .gid = 1001,
                              .groups = groups,
                              .n_groups = 1,
                              .has_stdin = true,
                              .argv = argv,
                              .argc = argc,
                              .env = env,
                              .envc = envc};
    const PolicyGhost settings = {
        .network = "none", .memory = 64 << 20, .pids = 9, .cpus_milli = 1500};
    char why[GHOST_WHY_MAX];
    json_t *mounts = document("[{\"Target\":\"/app\"}]"), *body = NULL;
    json_t *security = document("[\"seccomp={}\"]");

    *ret_result = ghost_body(&(GhostBody){.order = &order,
                                          .settings = &settings,
                                          .image = "sha256:1",
                                          .mounts = mounts,
                                          .security = security,
                                          .owner = "o",
                                          .life = "l"},
                             &body, why);
    json_decref(mounts);
    json_decref(security);
    return body;
}

static void a_body_has_what_the_policy_says(void **state)
{
    static const char *const argv[] = {"/work/npm", "ci", ""};
    static const char *const env[] = {"PATH=/app/evil", "HOME=/root", "HOSTNAME=h", "LANG=C"};
    int result = 0;

    (void)state;
    json_t *body = body_of(argv, 3, env, 4, &result);
    assert_int_equal(result, 0);
    _cleanup_free_ char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    static const char *const parts[] = {"\"Entrypoint\":[\"npm\"]",
                                        "\"Cmd\":[\"ci\",\"\"]",
                                        "\"Image\":\"sha256:1\"",
                                        "\"User\":\"1000:1001\"",
                                        "\"GroupAdd\":[\"4\"]",
                                        "\"WorkingDir\":\"/app/x\"",
                                        "\"AutoRemove\":true",
                                        "\"CapDrop\":[\"ALL\"]",
                                        "\"SecurityOpt\":[\"no-new-privileges\",\"seccomp={}\"]",
                                        "\"NetworkMode\":\"none\"",
                                        "\"Memory\":67108864",
                                        "\"PidsLimit\":9",
                                        "\"CpuQuota\":150000",
                                        "\"LANG=C\"",
                                        "\"HOME=/tmp\"",
                                        "\"clawrden.ghost\":\"o\"",
                                        "\"clawrden.enabled\":\"false\"",
                                        "\"StdinOnce\":true"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (!strstr(text, parts[i]))
            fail_msg("%s is not in %s", parts[i], text);
    assert_null(strstr(text, "PATH="));
    assert_null(strstr(text, "HOSTNAME"));
    assert_null(strstr(text, "rivileged\":true"));
    json_decref(body);
}

static void home_in_the_workspace_is_kept(void **state)
{
    static const char *const argv[] = {"npm"};
    static const char *const kept[] = {"HOME=/app/home"}, *const bent[] = {"HOME=/app/../root"};
    int result = 0;

    (void)state;
    json_t *body = body_of(argv, 1, kept, 1, &result);
    _cleanup_free_ char *text = json_dumps(body, 0);
    assert_non_null(strstr(text, "HOME=/app/home"));
    json_decref(body);
    body = body_of(argv, 1, bent, 1, &result);
    _cleanup_free_ char *other = json_dumps(body, 0);
    assert_non_null(strstr(other, "HOME=/tmp"));
    json_decref(body);
}

static void what_the_api_cannot_carry_is_refused(void **state)
{
    static const char *const argv[] = {"npm", "\xff"}, *const good[] = {"npm"};
    static const char *const env[] = {"A=\xff"};
    int result = 0;

    (void)state;
    assert_null(body_of(argv, 2, NULL, 0, &result));
    assert_int_equal(result, 1);
    assert_null(body_of(good, 1, env, 1, &result));
    assert_int_equal(result, 1);
}

static void refusals_are_understood(void **state)
{
    (void)state;
    assert_int_equal(ghost_failure_of(400, "exec: \"x\": executable file not found in $PATH"),
                     EXEC_FAILURE_NOT_FOUND);
    assert_int_equal(ghost_failure_of(400, "permission denied"), EXEC_FAILURE_NOT_RUNNABLE);
    assert_int_equal(ghost_failure_of(0, "the engine went away"), EXEC_FAILURE_BROKEN);
    assert_int_equal(ghost_failure_of(500, "x"), EXEC_FAILURE_BROKEN);
    assert_int_equal(ghost_failure_of(404, "no such network"), EXEC_FAILURE_NOT_RUNNABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mount_of_the_directory_and_no_other),
        cmocka_unit_test(what_lies_beneath_comes_along),
        cmocka_unit_test(no_more_than_the_caller_sees),
        cmocka_unit_test(programs_of_the_image_are_not_hidden),
        cmocka_unit_test(what_confines_the_caller_confines_its_ghosts),
        cmocka_unit_test(an_image_must_not_look_into_the_workspace),
        cmocka_unit_test(a_body_has_what_the_policy_says),
        cmocka_unit_test(home_in_the_workspace_is_kept),
        cmocka_unit_test(what_the_api_cannot_carry_is_refused),
        cmocka_unit_test(refusals_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
