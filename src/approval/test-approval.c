/*
 * Approvals: one decision each; the second and the late one are told so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "approval/approval.h"
#include "base/cleanup.h"

static int request_a, request_b;

static void test_one_decision(void **state UNUSED)
{
    Approvals *approvals;
    Approval *approval;
    ApprovalState before = APPROVAL_PENDING;
    void *request = NULL;
    char id[APPROVAL_ID_SIZE];

    assert_int_equal(approvals_new(&approvals), 0);
    assert_int_equal(approvals_add(approvals, &request_a, 1, 2, &approval), 0);
    memcpy(id, approval->id, sizeof id);
    assert_int_equal(approvals_decide(approvals, id, APPROVAL_APPROVED, &request, &before), 0);
    assert_ptr_equal(request, &request_a);
    assert_int_equal(approvals_count(approvals), 0);
    request = NULL;
    assert_int_equal(approvals_decide(approvals, id, APPROVAL_DENIED, &request, &before),
                     APPROVAL_OVER);
    assert_int_equal(before, APPROVAL_APPROVED);
    assert_null(request);
    approvals_free(approvals);
}

static void test_a_decision_after_expiry(void **state UNUSED)
{
    Approvals *approvals;
    Approval *approval;
    ApprovalState before = APPROVAL_PENDING;
    void *request = NULL;
    char id[APPROVAL_ID_SIZE];

    assert_int_equal(approvals_new(&approvals), 0);
    assert_int_equal(approvals_add(approvals, &request_a, 1, 2, &approval), 0);
    memcpy(id, approval->id, sizeof id);
    approvals_end(approvals, approval, APPROVAL_EXPIRED);
    assert_int_equal(approvals_decide(approvals, id, APPROVAL_APPROVED, &request, &before),
                     APPROVAL_OVER);
    assert_int_equal(before, APPROVAL_EXPIRED);
    approvals_free(approvals);
}

static void test_ids_as_humans_type_them(void **state UNUSED)
{
    Approvals *approvals;
    Approval *approval, *other;
    void *request = NULL;

    assert_int_equal(approvals_new(&approvals), 0);
    assert_int_equal(approvals_add(approvals, &request_a, 1, 2, &approval), 0);
    assert_int_equal(approvals_add(approvals, &request_b, 1, 2, &other), 0);
    memcpy(approval->id, "01ABCD", APPROVAL_ID_SIZE);
    memcpy(other->id, "01ABCE", APPROVAL_ID_SIZE);
    assert_int_equal(approvals_decide(approvals, "oiab", APPROVAL_APPROVED, &request, NULL),
                     APPROVAL_AMBIGUOUS);
    assert_int_equal(approvals_decide(approvals, "01A", APPROVAL_APPROVED, &request, NULL),
                     APPROVAL_UNKNOWN);
    assert_int_equal(approvals_decide(approvals, "01ABCDE", APPROVAL_APPROVED, &request, NULL),
                     APPROVAL_UNKNOWN);
    assert_int_equal(approvals_decide(approvals, "olabce", APPROVAL_APPROVED, &request, NULL), 0);
    assert_ptr_equal(request, &request_b);
    assert_int_equal(approvals_decide(approvals, "01ab", APPROVAL_DENIED, &request, NULL), 0);
    assert_ptr_equal(request, &request_a);
    approvals_free(approvals);
}

static void test_the_ring_forgets_the_oldest(void **state UNUSED)
{
    Approvals *approvals;
    Approval *approval;
    void *request = NULL;
    char first[APPROVAL_ID_SIZE];

    assert_int_equal(approvals_new(&approvals), 0);
    for (unsigned i = 0; i <= APPROVAL_REMEMBERED; i++) {
        assert_int_equal(approvals_add(approvals, &request_a, 1, 2, &approval), 0);
        if (i == 0)
            memcpy(first, approval->id, sizeof first);
        approvals_end(approvals, approval, APPROVAL_CANCELLED);
    }
    assert_int_equal(approvals_decide(approvals, first, APPROVAL_APPROVED, &request, NULL),
                     APPROVAL_UNKNOWN);
    approvals_free(approvals);
}

static void test_order_and_removal_from_the_middle(void **state UNUSED)
{
    Approvals *approvals;
    Approval *entries[3];

    assert_int_equal(approvals_new(&approvals), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(approvals_add(approvals, &request_a, 1, 2, &entries[i]), 0);
    approvals_end(approvals, entries[1], APPROVAL_CANCELLED);
    assert_ptr_equal(approvals_first(approvals), entries[0]);
    assert_ptr_equal(entries[0]->next, entries[2]);
    assert_ptr_equal(entries[2]->previous, entries[0]);
    assert_int_equal(approvals_count(approvals), 2);
    approvals_free(approvals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_decision),
        cmocka_unit_test(test_a_decision_after_expiry),
        cmocka_unit_test(test_ids_as_humans_type_them),
        cmocka_unit_test(test_the_ring_forgets_the_oldest),
        cmocka_unit_test(test_order_and_removal_from_the_middle),
    };
    return cmocka_run_group_tests_name("approval", tests, NULL, NULL);
}
