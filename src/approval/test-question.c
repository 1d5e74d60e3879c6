/*
 * Questions: one decision each; the second and the late one are told so; who may decide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "approval/question.h"
#include "base/cleanup.h"

static const Actor root = {.name = "root (uid 0)", .role = ROLE_ADMIN, .via = "cli", .jails = ""};
static const Coverage alone = {.root_pid = 0};
static Questions *questions;

static int set_up(void **state UNUSED)
{
    return questions_new(&questions);
}

static int tear_down(void **state UNUSED)
{
    questions = questions_free(questions);
    return 0;
}

static Question *add(const char *jail)
{
    Question *question = NULL;
    assert_int_equal(questions_add(questions, jail, &alone, &question), 0);
    return question;
}

static int find(const char *id, Question **ret, QuestionState *ret_before)
{
    return questions_find(questions, id, &root, ret, ret_before);
}

static void test_it_ends_once(void **state UNUSED)
{
    Question *question = add("default"), *found = NULL;
    QuestionState before = QUESTION_PENDING;
    char id[QUESTION_ID_SIZE];

    memcpy(id, question->id, sizeof id);
    assert_int_equal(find(id, &found, &before), 0);
    assert_ptr_equal(found, question);
    questions_end(questions, question, QUESTION_EXPIRED);
    assert_int_equal(questions_pending(questions), 0);
    assert_int_equal(find(id, &found, &before), QUESTION_OVER);
    assert_int_equal(before, QUESTION_EXPIRED);
    assert_null(found);
}

static void test_a_kept_answer_is_no_question(void **state UNUSED)
{
    Question *question = add("default"), *found = NULL;
    QuestionState before = QUESTION_PENDING;

    question->subject.display = strdup("shown");
    questions_keep(questions, question, QUESTION_DENIED);
    assert_null(question->subject.display);
    assert_int_equal(questions_pending(questions), 0);
    assert_int_equal(find(question->id, &found, &before), QUESTION_OVER);
    assert_int_equal(before, QUESTION_DENIED);
    assert_ptr_equal(questions_first(questions), question);
}

static void test_ids_as_humans_type_them(void **state UNUSED)
{
    Question *question = add("default"), *other = add("default"), *found = NULL;
    QuestionState before;

    memcpy(question->id, "01ABCD", QUESTION_ID_SIZE);
    memcpy(other->id, "01ABCE", QUESTION_ID_SIZE);
    assert_int_equal(find("oiab", &found, &before), QUESTION_AMBIGUOUS);
    assert_int_equal(find("01A", &found, &before), QUESTION_UNKNOWN);
    assert_int_equal(find("01ABCDE", &found, &before), QUESTION_UNKNOWN);
    assert_int_equal(find("", &found, &before), QUESTION_UNKNOWN);
    assert_int_equal(find("olabce", &found, &before), 0);
    assert_ptr_equal(found, other);
    questions_end(questions, other, QUESTION_APPROVED);
    assert_int_equal(find("01ab", &found, &before), 0);
    assert_ptr_equal(found, question);
}

/* What lies in another jail is not there: neither by its id, nor as the second of two. */
static void test_other_jails_do_not_exist(void **state UNUSED)
{
    const Actor scoped = {.name = "a", .role = ROLE_ADMIN, .via = "api", .jails = "mine\n"};
    Question *mine = add("mine"), *other = add("other"), *found = NULL;
    QuestionState before;

    memcpy(mine->id, "01ABCD", QUESTION_ID_SIZE);
    memcpy(other->id, "01ABCE", QUESTION_ID_SIZE);
    assert_int_equal(questions_find(questions, "01ABCE", &scoped, &found, &before),
                     QUESTION_UNKNOWN);
    assert_int_equal(questions_find(questions, "01AB", &scoped, &found, &before), 0);
    assert_ptr_equal(found, mine);
    questions_end(questions, other, QUESTION_DENIED);
    assert_int_equal(questions_find(questions, "01ABCE", &scoped, &found, &before),
                     QUESTION_UNKNOWN);
    assert_int_equal(find("01ABCE", &found, &before), QUESTION_OVER);
}

static void test_the_ring_forgets_the_oldest(void **state UNUSED)
{
    Question *found = NULL;
    QuestionState before;
    char first[QUESTION_ID_SIZE];

    for (unsigned i = 0; i <= QUESTIONS_REMEMBERED; i++) {
        Question *question = add("default");
        if (i == 0)
            memcpy(first, question->id, sizeof first);
        questions_end(questions, question, QUESTION_CANCELLED);
    }
    assert_int_equal(find(first, &found, &before), QUESTION_UNKNOWN);
    assert_int_equal(questions_number(questions, first), 0);
}

static void test_order_and_removal_from_the_middle(void **state UNUSED)
{
    Question *entries[3];
    char middle[QUESTION_ID_SIZE];

    for (int i = 0; i < 3; i++)
        entries[i] = add("default");
    memcpy(middle, entries[1]->id, sizeof middle);
    questions_end(questions, entries[1], QUESTION_CANCELLED);
    assert_ptr_equal(questions_first(questions), entries[0]);
    assert_ptr_equal(entries[0]->next, entries[2]);
    assert_ptr_equal(entries[2]->previous, entries[0]);
    assert_int_equal(questions_pending(questions), 2);
    /* Its place is still known: a page that ended with it goes on behind it. */
    assert_true(questions_number(questions, middle) > entries[0]->number);
    assert_true(questions_number(questions, middle) < entries[2]->number);
}

static void test_equal_ones_are_found(void **state UNUSED)
{
    Coverage one = {.exact = {{7, 7, 1}}}, two = {.exact = {{7, 7, 2}}}; /* the same bucket */
    Question *first = NULL, *second = NULL;

    assert_null(questions_equal(questions, &one));
    assert_int_equal(questions_add(questions, "default", &one, &first), 0);
    assert_int_equal(questions_add(questions, "default", &two, &second), 0);
    assert_ptr_equal(questions_equal(questions, &one), first);
    assert_ptr_equal(questions_equal(questions, &two), second);
    questions_end(questions, second, QUESTION_APPROVED);
    assert_null(questions_equal(questions, &two));
    assert_ptr_equal(questions_equal(questions, &one), first);
    (void)add("default");
    assert_null(questions_equal(questions, &alone)); /* bound to nothing: equal to nothing */
}

/* Deciding. */

static const char *const alice_or_admin[] = {"alice", "admin"};
static const char *const slack[] = {"slack"};

static void test_who_may_decide(void **state UNUSED)
{
    PolicyAsk anybody = {.approvals = 1};
    PolicyAsk named = {.approvals = 1, .approvers = alice_or_admin, .n_approvers = 2};
    PolicyAsk channel = {.approvals = 1, .channels = slack, .n_channels = 1};
    const Actor viewer = {.name = "alice", .role = ROLE_VIEWER, .via = "slack", .jails = ""};
    const Actor alice = {.name = "alice", .role = ROLE_APPROVER, .via = "slack", .jails = ""};
    const Actor bob = {.name = "bob", .role = ROLE_APPROVER, .via = "dashboard", .jails = ""};
    Question *question = add("default");
    bool voted = true;

    question->ask = &anybody;
    assert_non_null(question_objection(question, &viewer, &voted));
    assert_false(voted);
    assert_null(question_objection(question, &bob, NULL));
    question->ask = &named;
    assert_non_null(question_objection(question, &viewer, NULL));
    assert_null(question_objection(question, &alice, NULL));
    assert_non_null(question_objection(question, &bob, NULL));
    assert_null(question_objection(question, &root, NULL));
    question->ask = &channel;
    assert_null(question_objection(question, &alice, NULL));
    assert_non_null(question_objection(question, &root, NULL));
}

static void test_one_person_counts_once(void **state UNUSED)
{
    PolicyAsk two = {.approvals = 2};
    const Actor alice = {.name = "alice", .role = ROLE_APPROVER, .via = "slack", .jails = ""};
    const Actor again = {.name = "alice", .role = ROLE_APPROVER, .via = "dashboard", .jails = ""};
    const Actor local = {.name = "alice (uid 1000)", .role = ROLE_ADMIN, .via = "cli", .jails = ""};
    const Actor alicia = {.name = "alicia", .role = ROLE_APPROVER, .via = "api", .jails = ""};
    Question *question = add("default");
    bool voted = false;

    question->ask = &two;
    assert_int_equal(question_needed(question), 2);
    assert_int_equal(question_vote(question, &alice, REMEMBER_NOT, 0, false), 0);
    assert_non_null(question_objection(question, &again, &voted));
    assert_true(voted);
    assert_non_null(question_objection(question, &local, &voted));
    assert_true(voted);
    assert_null(question_objection(question, &alicia, &voted));
    assert_false(voted);
    assert_int_equal(question_vote(question, &alicia, REMEMBER_NOT, 0, false), 0);
    _cleanup_free_ char *names = question_approvers(question);
    assert_string_equal(names, "alice, alicia");
    question_unvote(question);
    assert_null(question_objection(question, &alicia, NULL));
}

static void expect_remembered(const Vote *votes, size_t count, Remember kind, uint64_t ms,
                              bool widened)
{
    Question *question = add("default");
    uint64_t got_ms = 0;
    bool got_widened = false;

    for (size_t i = 0; i < count; i++) {
        Actor actor = {.name = i == 0 ? "a" : "b", .role = ROLE_ADMIN, .via = "cli", .jails = ""};
        assert_int_equal(question_vote(question, &actor, votes[i].remember, votes[i].remember_ms,
                                       votes[i].widened),
                         0);
    }
    assert_int_equal(question_remembered(question, &got_ms, &got_widened), kind);
    if (kind == REMEMBER_FOR)
        assert_true(got_ms == ms);
    if (kind != REMEMBER_NOT)
        assert_int_equal(got_widened, widened);
}

/* Several approvers get the least of what they wanted. */
static void test_the_least_is_remembered(void **state UNUSED)
{
    const Vote longer = {.remember = REMEMBER_FOR, .remember_ms = 900, .widened = true};
    const Vote shorter = {.remember = REMEMBER_FOR, .remember_ms = 100, .widened = false};
    const Vote session = {.remember = REMEMBER_SESSION, .widened = true};
    const Vote nothing = {.remember = REMEMBER_NOT};

    expect_remembered((Vote[]){longer}, 1, REMEMBER_FOR, 900, true);
    expect_remembered((Vote[]){longer, shorter}, 2, REMEMBER_FOR, 100, false);
    expect_remembered((Vote[]){shorter, longer}, 2, REMEMBER_FOR, 100, false);
    expect_remembered((Vote[]){session, session}, 2, REMEMBER_SESSION, 0, true);
    expect_remembered((Vote[]){session, longer}, 2, REMEMBER_NOT, 0, false);
    expect_remembered((Vote[]){longer, nothing}, 2, REMEMBER_NOT, 0, false);
    expect_remembered((Vote[]){nothing, longer}, 2, REMEMBER_NOT, 0, false);
}

#define QUESTION_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUESTION_TEST(test_it_ends_once),
        QUESTION_TEST(test_a_kept_answer_is_no_question),
        QUESTION_TEST(test_ids_as_humans_type_them),
        QUESTION_TEST(test_other_jails_do_not_exist),
        QUESTION_TEST(test_the_ring_forgets_the_oldest),
        QUESTION_TEST(test_order_and_removal_from_the_middle),
        QUESTION_TEST(test_equal_ones_are_found),
        QUESTION_TEST(test_who_may_decide),
        QUESTION_TEST(test_one_person_counts_once),
        QUESTION_TEST(test_the_least_is_remembered),
    };
    return cmocka_run_group_tests_name("questions", tests, NULL, NULL);
}
