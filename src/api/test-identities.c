/*
 * Tokens, users, sessions and the throttle by themselves: what is kept, what is worth something,
 * and for how long.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/sessions.h"
#include "api/throttle.h"
#include "api/tokens.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

typedef struct Place {
    char path[64];
} Place;

static int set_up(void **state)
{
    Place *place = calloc(1, sizeof *place);
    (void)snprintf(place->path, sizeof place->path, "/tmp/test-identities-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    Place *place = *state;
    char path[128];
    static const char *const names[] = {"auth.json", "auth.json.new"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", place->path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(place->path);
    free(place);
    return 0;
}

static void open_store(const Place *place, Store *store)
{
    int fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    store_open_take(store, fd);
}

static Token *make_token(Store *store, const char *name, char text[static TOKEN_TEXT_MAX])
{
    Token *token = token_new();
    token->name = strdup(name);
    token->jails = strdup("a\nb\n");
    token->created_by = strdup("test");
    token->role = ROLE_APPROVER;
    token->created_us = clock_realtime_us();
    (void)snprintf(token->via, sizeof token->via, "slack");
    token_make_secret(token, text);
    store_add_token_take(store, token);
    return token;
}

static void test_a_store_comes_back(void **state)
{
    Store store;
    char text[TOKEN_TEXT_MAX], path[128];
    struct stat status;
    Identity identity;
    Token *found = NULL;

    open_store(*state, &store);
    assert_null(store.damage);
    Token *token = make_token(&store, "bridge", text);
    char id[TOKEN_ID_SIZE + 1];
    memcpy(id, token->id, sizeof id);
    User *user = user_new();
    user->name = strdup("alice");
    user->password = strdup("$argon2id$x");
    user->jails = strdup("");
    user->role = ROLE_ADMIN;
    store_add_user_take(&store, user);
    assert_int_equal(store_save(&store), 0);
    store_done(&store);
    (void)snprintf(path, sizeof path, "%s/auth.json", ((Place *)*state)->path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    open_store(*state, &store);
    assert_null(store.damage);
    assert_int_equal(store.n_tokens, 1);
    assert_true(store_has_name(&store, "bridge") && store_has_name(&store, "alice"));
    assert_false(store_has_name(&store, "bob"));
    assert_int_equal(token_check(&store, text, &found), TOKEN_GOOD);
    assert_string_equal(found->id, id);
    assert_true(store.used);
    assert_int_equal(token_identity(found, &identity), 0);
    assert_string_equal(identity.via, "slack");
    assert_string_equal(identity.jails, "a\nb\n");
    identity_done(&identity);
    assert_string_equal(store_find_user(&store, "alice")->password, "$argon2id$x");
    store_done(&store);
}

static void test_damage_is_not_believed_in_part(void **state)
{
    static const char *const damages[] = {
        "",
        "{}",
        "{\"version\":1,\"tokens\":[],\"users\":[]",
        "{\"version\":1,\"tokens\":[],\"users\":[{\"name\":\"x\"}]}",
        "{\"version\":1,\"tokens\":[],\"tokens\":[],\"users\":[]}",
        "{\"version\":1,\"tokens\":[{\"id\":\"aaaaaaaaaaaa\",\"name\":\"x\",\"hash\":\"00\","
        "\"role\":\"admin\",\"via\":\"api\",\"created_by\":\"x\"}],\"users\":[]}",
        "{\"version\":1,\"tokens\":[],\"users\":[{\"name\":\"x\",\"password\":\"p\",\"role\":"
        "\"admin\"},{\"name\":\"x\",\"password\":\"p\",\"role\":\"admin\"}]}",
    };
    char path[128];

    (void)snprintf(path, sizeof path, "%s/auth.json", ((Place *)*state)->path);
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        Store store;
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs(damages[i], file);
        (void)fclose(file);
        open_store(*state, &store);
        if (!store.damage)
            fail_msg("%s was taken", damages[i]);
        assert_int_equal(store.n_users + store.n_tokens, 0);
        assert_int_equal(store_save(&store), -EBADMSG);
        store_done(&store);
    }
}

static void test_tokens_are_worth_what_they_are(void **state)
{
    Store store;
    char text[TOKEN_TEXT_MAX], other[TOKEN_TEXT_MAX], forged[TOKEN_TEXT_MAX];
    Token *found = NULL;

    open_store(*state, &store);
    Token *token = make_token(&store, "a", text);
    (void)make_token(&store, "b", other);
    assert_int_equal(token_check(&store, text, &found), TOKEN_GOOD);
    assert_ptr_equal(found, token);
    for (size_t i = 0; i < strlen(text); i++) { /* each character counts */
        memcpy(forged, text, sizeof forged);
        forged[i] = forged[i] == 'a' ? 'b' : 'a';
        assert_int_equal(token_check(&store, forged, &found), TOKEN_UNKNOWN);
    }
    /* One's id with another's secret. */
    memcpy(forged, text, sizeof forged);
    memcpy(forged + 17, other + 17, strlen(other + 17));
    assert_int_equal(token_check(&store, forged, &found), TOKEN_UNKNOWN);
    assert_int_equal(token_check(&store, "", &found), TOKEN_UNKNOWN);
    token->expires_us = clock_realtime_us() - 1;
    assert_int_equal(token_check(&store, text, &found), TOKEN_EXPIRED);
    token->expires_us += 60000000;
    assert_int_equal(token_check(&store, text, &found), TOKEN_GOOD);
    store_remove_token(&store, token);
    assert_int_equal(token_check(&store, text, &found), TOKEN_UNKNOWN);
    token_free(token);
    store_done(&store);
}

static void test_sessions_end(void **state)
{
    Sessions sessions;
    User alice = {.name = (char *)"alice"}, bob = {.name = (char *)"bob"};
    char text[SESSION_TEXT_SIZE + 1], other[SESSION_TEXT_SIZE + 1];
    (void)state;

    sessions_init(&sessions);
    Session *session = session_new(&sessions, &alice, text);
    assert_ptr_equal(session_find(&sessions, text), session);
    assert_true(session_csrf_equal(session, session->csrf));
    assert_false(session_csrf_equal(session, text));
    assert_false(session_csrf_equal(session, ""));
    assert_null(session_find(&sessions, "x"));
    assert_true(session_lives(&sessions, session->key));

    session->used_ms -= SESSION_IDLE_MS - 1000;
    assert_ptr_equal(session_find(&sessions, text), session);
    session->used_ms -= SESSION_IDLE_MS - 1000; /* being used has begun the time anew */
    assert_true(session_lives(&sessions, session->key));
    session->used_ms -= 1000;
    assert_null(session_find(&sessions, text));
    assert_int_equal(sessions.count, 0);

    session = session_new(&sessions, &alice, text);
    session->begun_ms -= SESSION_MAX_MS;
    session->used_ms = clock_monotonic_ms();
    assert_null(session_find(&sessions, text));

    (void)session_new(&sessions, &alice, text);
    session = session_new(&sessions, &bob, other);
    sessions_end_of(&sessions, "alice");
    assert_null(session_find(&sessions, text));
    assert_ptr_equal(session_find(&sessions, other), session);
    for (unsigned i = 0; i < 3 * SESSIONS_OF_USER_MAX; i++)
        assert_non_null(session_new(&sessions, &alice, text));
    assert_int_equal(sessions.count, SESSIONS_OF_USER_MAX + 1);
    sessions_done(&sessions);
}

static void test_the_throttle(void **state)
{
    Throttle *throttle = throttle_new();
    char name[32];
    unsigned taken = 0;
    uint64_t now = 1000000;
    (void)state;

    while (throttle_take(throttle, "alice", "10.0.0.1", now) == 0)
        taken++;
    assert_in_range(taken, 3, 10);
    unsigned wait = throttle_take(throttle, "alice", "10.0.0.2", now);
    assert_true(wait > 0); /* from wherever */
    assert_int_equal(throttle_take(throttle, "bob", "10.0.0.3", now), 0);
    now += 1000 * (uint64_t)wait;
    assert_int_equal(throttle_take(throttle, "alice", "10.0.0.2", now), 0);
    assert_true(throttle_take(throttle, "alice", "10.0.0.2", now) > 0);
    throttle_give_back(throttle, "alice", "10.0.0.2", now); /* a success costs nothing */
    assert_int_equal(throttle_take(throttle, "alice", "10.0.0.2", now), 0);

    taken = 0;
    for (unsigned i = 0; i < 100; i++) { /* many names from one address */
        (void)snprintf(name, sizeof name, "user%u", i);
        taken += throttle_take(throttle, name, "10.0.0.9", now) == 0;
    }
    assert_in_range(taken, 5, 20);
    taken = 0;
    for (unsigned i = 0; i < 1000; i++) { /* many names from many addresses */
        (void)snprintf(name, sizeof name, "user%u", i);
        taken += throttle_take(throttle, name, name, now) == 0;
    }
    assert_in_range(taken, 1, 60);
    now += 3600 * 1000;
    assert_int_equal(throttle_take(throttle, "alice", "10.0.0.1", now), 0);
    throttle_free(throttle);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_store_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_not_believed_in_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tokens_are_worth_what_they_are, set_up, tear_down),
        cmocka_unit_test(test_sessions_end),
        cmocka_unit_test(test_the_throttle),
    };
    log_open("test-identities", NULL, false);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
