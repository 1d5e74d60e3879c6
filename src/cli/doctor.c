/*
 * doctor: is this machine fit, and is the installation right? The machine's side is in
 * doctor-kernel.c; here are the users, the places and the running warden.
 */
#include "cli/doctor.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/show.h"

static const char usage[] =
    "usage: clawrden-cli doctor [--json]\n"
    "\n"
    "Checks what Clawrden needs of this machine's kernel, its users, its files and the running\n"
    "warden. Exit status 1 when something essential fails.\n";

static const char *const result_names[] = {[DOCTOR_OK] = "ok",
                                           [DOCTOR_NOTE] = "note",
                                           [DOCTOR_WARNING] = "warning",
                                           [DOCTOR_FAILED] = "failed"};

void doctor_say(Doctor *doctor, DoctorResult result, const char *name, const char *format, ...)
{
    char words[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (result == DOCTOR_FAILED)
        doctor->n_failed++;
    (void)json_array_append_new(
        doctor->checks,
        json_pack("{s:s, s:s, s:s*}", "name", name, "result", result_names[result], "text", words));
}

static void check_users(Doctor *doctor)
{
    static const char *const users[] = {"clawrden", "clawrden-door", "clawrden-api"};

    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        const struct passwd *entry = getpwnam(users[i]);
        if (entry && entry->pw_uid == 0)
            doctor_say(doctor, DOCTOR_FAILED, "users", "%s is root", users[i]);
        else if (entry)
            doctor_say(doctor, DOCTOR_OK, "users", "%s is uid %u", users[i],
                       (unsigned)entry->pw_uid);
        else
            doctor_say(doctor, doctor->system ? DOCTOR_FAILED : DOCTOR_NOTE, "users",
                       "there is no user %s, which a warden started as root needs: useradd "
                       "--system --user-group --no-create-home --shell /usr/sbin/nologin %s",
                       users[i], users[i]);
    }
}

/* A directory or file of Clawrden's: owned by root, this user or Clawrden's own, and not to be
 * written by others; `secret`: not to be read by others either. */
static void check_place(Doctor *doctor, const char *name, const char *path, bool secret)
{
    struct stat status;
    const struct passwd *warden = getpwnam("clawrden");
    bool wardens = warden != NULL;
    uid_t warden_uid = warden ? warden->pw_uid : 0;
    const struct passwd *api = getpwnam("clawrden-api");

    if (lstat(path, &status) < 0) {
        doctor_say(doctor, errno == ENOENT || errno == EACCES ? DOCTOR_NOTE : DOCTOR_WARNING, name,
                   "%s: %s", path,
                   errno == ENOENT ? "not there (a warden has not been started with it)"
                                   : strerror(errno));
        return;
    }
    bool owner_ok = status.st_uid == 0 || status.st_uid == geteuid() ||
                    (wardens && status.st_uid == warden_uid) ||
                    (api && status.st_uid == api->pw_uid);
    if (S_ISLNK(status.st_mode))
        doctor_say(doctor, DOCTOR_WARNING, name, "%s is a symbolic link", path);
    else if (!owner_ok)
        doctor_say(doctor, DOCTOR_FAILED, name, "%s belongs to uid %u", path,
                   (unsigned)status.st_uid);
    else if (status.st_mode & S_IWOTH)
        doctor_say(doctor, DOCTOR_FAILED, name, "%s can be written by anybody (mode %04o)", path,
                   (unsigned)status.st_mode & 07777);
    else if (secret && (status.st_mode & S_IROTH))
        doctor_say(doctor, DOCTOR_WARNING, name, "%s can be read by anybody (mode %04o)", path,
                   (unsigned)status.st_mode & 07777);
    else
        doctor_say(doctor, DOCTOR_OK, name, "%s (mode %04o, uid %u)", path,
                   (unsigned)status.st_mode & 07777, (unsigned)status.st_uid);
}

/* `base` and `below` name one place; nothing is checked when base is no absolute path. */
static void check_below(Doctor *doctor, const char *name, const char *base, const char *below,
                        bool secret)
{
    char path[4096];
    if (base && base[0] == '/' &&
        snprintf(path, sizeof path, "%s%s", base, below) < (int)sizeof path)
        check_place(doctor, name, path, secret);
}

/* The run directory of the warden that the api belongs to: RUN/api/api.sock. */
static void check_run(Doctor *doctor)
{
    static const char end[] = "/api/api.sock";
    const char *socket_path = client_socket_path(doctor->cli->api);
    size_t size = socket_path ? strlen(socket_path) : 0, end_size = sizeof end - 1;

    if (size <= end_size || strcmp(socket_path + size - end_size, end) != 0)
        return;
    _cleanup_free_ char *run = strndup(socket_path, size - end_size);
    check_below(doctor, "run", run, "", false);
    check_below(doctor, "run", run, "/api", false);
    check_below(doctor, "run", run, "/jails", false);
}

static void check_state(Doctor *doctor)
{
    const char *state = getenv("XDG_STATE_HOME");

    if (doctor->system) {
        check_place(doctor, "state", "/var/lib/clawrden", true);
        check_place(doctor, "state", "/var/lib/clawrden/api", true);
    } else if (state && state[0] == '/') {
        check_below(doctor, "state", state, "/clawrden", true);
    } else {
        check_below(doctor, "state", getenv("HOME"), "/.local/state/clawrden", true);
    }
}

static void check_audit(Doctor *doctor, const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    if (!slash || slash == path)
        return;
    _cleanup_free_ char *directory = strndup(path, (size_t)(slash - path));
    check_below(doctor, "audit", directory, "", false);
    check_below(doctor, "audit", path, "", true);
}

static void say_status(Doctor *doctor, const json_t *status)
{
    const json_t *policy = json_object_get(status, "policy");
    const json_t *journal = json_object_get(status, "journal");
    const char *health = json_string_value(json_object_get(journal, "health"));
    const char *mode = json_string_value(json_object_get(status, "mode"));
    const char *error = json_string_value(json_object_get(policy, "error"));
    const char *version = json_string_value(json_object_get(status, "version"));

    doctor_say(doctor, DOCTOR_OK, "warden", "version %s at %s", version ? version : "?",
               doctor->cli->api);
    if (version && strcmp(version, CLAWRDEN_VERSION) != 0)
        doctor_say(doctor, DOCTOR_WARNING, "warden", "this clawrden-cli is version %s",
                   CLAWRDEN_VERSION);
    if (!mode || strcmp(mode, "root") != 0)
        doctor_say(doctor, DOCTOR_WARNING, "warden",
                   "started without root: everything runs as its user, which is no security "
                   "boundary");
    if (json_is_true(json_object_get(status, "dry_run")))
        doctor_say(doctor, DOCTOR_NOTE, "warden", "dry run: no command is run");
    if (error)
        doctor_say(doctor, DOCTOR_FAILED, "policy", "the file has mistakes and is not in force: %s",
                   error);
    else
        doctor_say(doctor, DOCTOR_OK, "policy", "%llu rule%s in force",
                   show_number(policy, "rules"), show_number(policy, "rules") == 1 ? "" : "s");
    if (health && strcmp(health, "ok") != 0)
        doctor_say(doctor, DOCTOR_FAILED, "journal", "it cannot be written: %s", health);
    else
        doctor_say(doctor, DOCTOR_OK, "journal", "healthy");
    check_audit(doctor, json_string_value(json_object_get(journal, "path")));
}

static void check_warden(Doctor *doctor)
{
    _cleanup_(client_answer_done)
    ClientAnswer answer = {0};
    _cleanup_free_ char *words = NULL;

    int result = client_try(doctor->cli, "GET", "/api/status", NULL, &answer, &words);
    if (result != CLI_DONE) {
        doctor_say(doctor, DOCTOR_FAILED, "warden", "%s", words ? words : "out of memory");
        return;
    }
    const char *error = json_string_value(json_object_get(answer.json, "error"));
    if (answer.status == 200 && json_is_object(answer.json)) {
        say_status(doctor, answer.json);
        doctor_check_api(doctor, answer.json);
    } else {
        doctor_say(doctor, DOCTOR_FAILED, "warden", "%s answers %ld: %s", doctor->cli->api,
                   answer.status, error ? error : "no reason given");
    }
}

static void print_checks(const Doctor *doctor)
{
    Buffer out = BUFFER_EMPTY(1 << 20);

    for (size_t i = 0; i < json_array_size(doctor->checks); i++) {
        const json_t *check = json_array_get(doctor->checks, i);
        const char *result = json_string_value(json_object_get(check, "result"));
        const char *name = json_string_value(json_object_get(check, "name"));
        buffer_printf(&out, "%-8s %-9s ", result ? result : "?", name ? name : "?");
        show_member(&out, check, "text", 0);
        buffer_puts(&out, "\n");
    }
    if (doctor->n_failed == 0)
        buffer_puts(&out, "nothing essential is missing\n");
    else
        buffer_printf(&out, "%u essential check%s failed\n", doctor->n_failed,
                      doctor->n_failed == 1 ? "" : "s");
    show_print(&out);
}

int doctor_main(Cli *cli, int argc, char **argv)
{
    static const CliSyntax syntax = {.usage = usage};
    int first;

    int result = cli_parse(cli, &syntax, argc, argv, &first);
    if (result != 0)
        return cli_parse_exit(result);
    if (!cli->api) {
        cli_error("out of memory");
        return CLI_REFUSED;
    }
    Doctor doctor = {.cli = cli, .checks = json_array()};
    doctor.system = geteuid() == 0 || strncmp(cli->api, "unix:/run/", 10) == 0;

    doctor_check_kernel(&doctor);
    doctor_check_cgroup(&doctor);
    check_users(&doctor);
    check_run(&doctor);
    check_state(&doctor);
    check_warden(&doctor);
    if (cli->json) {
        json_t *document =
            json_pack("{s:b, s:O}", "ok", doctor.n_failed == 0, "checks", doctor.checks);
        show_json(document);
        json_decref(document);
    } else {
        print_checks(&doctor);
    }
    json_decref(doctor.checks);
    return doctor.n_failed == 0 ? CLI_DONE : CLI_REFUSED;
}
