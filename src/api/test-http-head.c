/*
 * Request heads: what is read out of good ones, and that every prefix of one asks for more.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/http-head.h"
#include "base/cleanup.h"

static ssize_t parse(const char *text, HttpHead *ret)
{
    const HttpFault *fault;
    ssize_t result = http_head_parse(text, strlen(text), ret, &fault);
    assert_true((result == -EBADMSG) == (fault != NULL));
    return result;
}

static void test_a_whole_head(void **state UNUSED)
{
    static const char text[] = "POST /api/queue/7K/deny?a=b?c%20 HTTP/1.1\r\n"
                               "Host: [::1]:8080\r\n"
                               "content-length:  007 \t\r\n"
                               "Content-Type: application/json\r\n"
                               "X-Empty:\r\n"
                               "User-Agent: a\tb\r\n"
                               "Expect: 100-Continue\r\n"
                               "\r\n";
    HttpHead head;

    assert_int_equal(parse(text, &head), strlen(text));
    assert_int_equal(head.method, HTTP_POST);
    assert_string_equal(head.path, "/api/queue/7K/deny");
    assert_string_equal(head.query, "a=b?c%20");
    assert_string_equal(head.fields[HTTP_FIELD_HOST], "[::1]:8080");
    assert_string_equal(head.fields[HTTP_FIELD_CONTENT_TYPE], "application/json");
    assert_string_equal(head.fields[HTTP_FIELD_USER_AGENT], "a\tb");
    assert_null(head.fields[HTTP_FIELD_AUTHORIZATION]);
    assert_int_equal(head.length, 7);
    assert_true(head.expects_continue);
    assert_false(head.close);
    http_head_done(&head);
    http_head_done(&head);
}

static void test_every_prefix_wants_more(void **state UNUSED)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET";
    HttpHead head;
    const HttpFault *fault;

    for (size_t size = 0; size < sizeof text - 4; size++) {
        assert_int_equal(http_head_parse(text, size, &head, &fault), 0);
        assert_null(fault);
    }
    assert_int_equal(parse(text, &head), sizeof text - 4);
    http_head_done(&head);
}

static void test_who_wants_to_stay(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool close;
    } heads[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        HttpHead head;
        assert_int_equal(parse(heads[i].text, &head), strlen(heads[i].text));
        assert_int_equal(head.close, heads[i].close);
        http_head_done(&head);
    }
}

static void test_faults(void **state UNUSED)
{
    static const struct {
        const char *text;
        unsigned status;
        const char *code;
    } heads[] = {
        {"\n", 400, "bad_request"},
        {"\r\n", 400, "bad_request"},
        {"\rG", 400, "bad_request"},
        {"G\r\r", 400, "bad_request"},
        {"G\x7f", 400, "bad_request"},
        {"GET / HTTP/1.1\r\n\n", 400, "bad_request"},
        {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET / http/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET /a\\b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET /% HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"get / HTTP/1.1\r\nHost: x\r\n\r\n", 501, "unknown_method"},
        {"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n", 501, "unknown_method"},
        {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505, "http_version"},
        {"GET / HTTP/1.1\r\n: x\r\nHost: x\r\n\r\n", 400, "bad_request"},
        {"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, "bad_request"},
        {"GET / HTTP/1.1\r\n\tHost: x\r\n\r\n", 400, "bad_request"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_host"},
        {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "bad_host"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"},
        {"GET / HTTP/1.1\r\nHost: x\r\nCookie: a\r\nCookie: b\r\n\r\n", 400, "repeated_header"},
        {"GET / HTTP/1.1\r\nHost: x\r\nauthorization: a\r\nAuthorization: b\r\n\r\n", 400,
         "repeated_header"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", 400, "bad_length"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 2\r\n\r\n", 400, "bad_length"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\n", 413,
         "body_too_large"},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 400,
         "transfer_encoding"},
        {"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", 400, "unwanted_body"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        HttpHead head;
        const HttpFault *fault = NULL;
        ssize_t result = http_head_parse(heads[i].text, strlen(heads[i].text), &head, &fault);
        if (result != -EBADMSG || fault->status != heads[i].status ||
            strcmp(fault->code, heads[i].code) != 0)
            fail_msg("%s: %zd %s", heads[i].text, result, fault ? fault->code : "");
        assert_null(head.text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_head),
        cmocka_unit_test(test_every_prefix_wants_more),
        cmocka_unit_test(test_who_wants_to_stay),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
