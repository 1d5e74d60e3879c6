/*
 * The embedded files are those of web/, byte for byte, with a type a browser will not have to
 * guess.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/assets.h"

static void test_every_file_is_there_as_it_is(void **state)
{
    const Asset *asset;
    size_t n = 0;
    (void)state;

    for (; (asset = asset_at(n)); n++) {
        char path[4096];
        const char *base = strcmp(asset->path, "/") == 0 ? "/index.html" : asset->path;
        snprintf(path, sizeof path, "%s%s", WEB_DIRECTORY, base);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        char *bytes = malloc(asset->size + 1);
        assert_non_null(bytes);
        assert_int_equal(fread(bytes, 1, asset->size + 1, file), asset->size);
        assert_memory_equal(bytes, asset->bytes, asset->size);
        free(bytes);
        fclose(file);
        assert_ptr_equal(asset_find(asset->path), asset);
    }
    assert_true(n >= 4);
    assert_null(asset_at(n + 1));
    assert_null(asset_at(SIZE_MAX));
}

static void test_types_and_tags(void **state)
{
    (void)state;
    assert_string_equal(asset_find("/")->type, "text/html; charset=utf-8");
    assert_string_equal(asset_find("/main.js")->type, "text/javascript; charset=utf-8");
    assert_string_equal(asset_find("/style.css")->type, "text/css; charset=utf-8");
    assert_string_equal(asset_find("/icon.svg")->type, "image/svg+xml; charset=utf-8");
    for (size_t i = 0; asset_at(i); i++) {
        const char *etag = asset_at(i)->etag;
        assert_int_equal(strlen(etag), 34);
        assert_true(etag[0] == '"' && etag[33] == '"');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(etag, asset_at(k)->etag);
    }
}

static void test_nothing_else_is_there(void **state)
{
    static const char *const paths[] = {
        "",          "index.html",      "/index.html", "/meson.build",         "//",
        "/main.js/", "/./main.js",      "/MAIN.JS",    "/../src/api/assets.c", "/main.js?x",
        "main.js",   "/main.js%00.css", "/%6dain.js",  "/style.css\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_null(asset_find(paths[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_is_there_as_it_is),
        cmocka_unit_test(test_types_and_tags),
        cmocka_unit_test(test_nothing_else_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
