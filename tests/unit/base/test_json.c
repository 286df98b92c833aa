/* JSON: what is refused and where, typed getters, writing; no memory anywhere. */
#include <math.h>

#include "base/json.h"
#include "support/scratch.h"

static yyjson_doc *parse(const char *text)
{
    yyjson_doc *doc = NULL;
    gx_error error = {0};
    check_ok(text, gx_json_parse(&doc, "config.json", text, strlen(text), &error), &error);
    return doc;
}

static void syntax_errors_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"", "config.json: line 1, column 1: "},
        {"{\"a\":1,\n \"b\":}", "config.json: line 2, column 6: "},
        {"{\"a\":1}\n\n  x", "config.json: line 3, column 3: "},
        {"{\"a\":NaN}", "config.json: line 1, column 6: "},
        {"{\"a\":1,}", "config.json: line 1, column 7: "},
        {"// no\n{}", "config.json: line 1, column 1: "},
        {"\"\xff\"", "config.json: line 1, column 2: "},
        {"[1", "config.json: line 1, column 3: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yyjson_doc *doc = NULL;
        gx_error error = {0};
        const gx_status status = gx_json_parse(&doc, "config.json", cases[i].text, strlen(cases[i].text), &error);
        check_failure(cases[i].text, status, &error, GX_ERROR_FORMAT, cases[i].place);
        assert_null(doc);
    }
}

static void deep_nesting_is_no_danger(void **state)
{
    (void)state;
    const size_t depth = 1000000;
    char *text = malloc(2 * depth);
    yyjson_doc *doc = NULL;
    gx_error error = {0}, failure = {0};
    assert_non_null(text);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    check_ok("deep", gx_json_parse(&doc, "deep", text, 2 * depth, &error), &error);
    yyjson_doc_free(doc);
    doc = NULL;
    check_failure("open", gx_json_parse(&doc, "deep", text, 2 * depth - 1, &failure), &failure, GX_ERROR_FORMAT, "deep: line 1, column");
    free(text);
}

static void getters_read(void **state)
{
    (void)state;
    yyjson_doc *doc = parse("{\"n\":18446744073709551615,\"d\":-1.5,\"t\":true,\"s\":\"text\",\"i\":3,\"n\":4}");
    yyjson_val *root = yyjson_doc_get_root(doc);
    uint64_t n = 0;
    double d = 0, i = 0;
    bool t = false;
    const char *s = NULL;
    assert_int_equal(gx_json_get_u64(root, "f", "n", &n, NULL), GX_OK);
    assert_int_equal(n, UINT64_MAX); /* the first of two */
    assert_int_equal(gx_json_get_double(root, "f", "d", &d, NULL), GX_OK);
    assert_true(d == -1.5);
    assert_int_equal(gx_json_get_double(root, "f", "i", &i, NULL), GX_OK);
    assert_true(i == 3.0);
    assert_int_equal(gx_json_get_bool(root, "f", "t", &t, NULL), GX_OK);
    assert_true(t);
    assert_int_equal(gx_json_get_string(root, "f", "s", &s, NULL), GX_OK);
    assert_string_equal(s, "text");
    yyjson_doc_free(doc);
}

static void absent_and_null_leave_the_default(void **state)
{
    (void)state;
    yyjson_doc *doc = parse("{\"null\":null}");
    yyjson_val *objects[] = {yyjson_doc_get_root(doc), yyjson_doc_get_root(doc), NULL};
    static const char *const keys[] = {"null", "absent", "null"};
    for (size_t k = 0; k < 3; k++) {
        uint64_t n = 7;
        double d = 7;
        bool b = true;
        const char *s = "default";
        assert_int_equal(gx_json_get_u64(objects[k], "f", keys[k], &n, NULL), GX_OK);
        assert_int_equal(gx_json_get_double(objects[k], "f", keys[k], &d, NULL), GX_OK);
        assert_int_equal(gx_json_get_bool(objects[k], "f", keys[k], &b, NULL), GX_OK);
        assert_int_equal(gx_json_get_string(objects[k], "f", keys[k], &s, NULL), GX_OK);
        assert_true(n == 7 && d == 7 && b);
        assert_string_equal(s, "default");
    }
    yyjson_doc_free(doc);
}

static gx_status get_as(char type, yyjson_val *root, gx_error *error)
{
    uint64_t n = 7;
    double d = 7;
    bool b = true;
    const char *s = "default";
    const gx_status status = type == 'u'   ? gx_json_get_u64(root, "config.json", "x", &n, error)
                             : type == 'd' ? gx_json_get_double(root, "config.json", "x", &d, error)
                             : type == 'b' ? gx_json_get_bool(root, "config.json", "x", &b, error)
                                           : gx_json_get_string(root, "config.json", "x", &s, error);
    assert_true(n == 7 && d == 7 && b); /* untouched by a refusal */
    assert_string_equal(s, "default");
    return status;
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char type;
        const char *words;
    } cases[] = {
        {"{\"x\":\"1\"}", 'u', "config.json: 'x' is a string, expected a non-negative integer"},
        {"{\"x\":-1}", 'u', "expected a non-negative integer"},
        {"{\"x\":1.0}", 'u', "'x' is a number, expected a non-negative integer"},
        {"{\"x\":18446744073709551616}", 'u', "expected a non-negative integer"},
        {"{\"x\":true}", 'd', "'x' is true or false, expected a number"},
        {"{\"x\":[1]}", 'd', "'x' is a list, expected a number"},
        {"{\"x\":1}", 'b', "'x' is an integer, expected true or false"},
        {"{\"x\":{}}", 's', "'x' is an object, expected a string"},
        {"{\"x\":\"a\\u0000b\"}", 's', "config.json: 'x' holds a NUL character"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yyjson_doc *doc = parse(cases[i].text);
        gx_error error = {0};
        check_failure(cases[i].text, get_as(cases[i].type, yyjson_doc_get_root(doc), &error), &error, GX_ERROR_FORMAT, cases[i].words);
        yyjson_doc_free(doc);
    }
}

static void files(void **state)
{
    (void)state;
    yyjson_doc *doc = NULL;
    gx_error error = {0}, over = {0}, absent = {0}, broken = {0};
    const char *path = scratch_write_text("a.json", "[1, 2]");
    check_ok("file", gx_json_read(&doc, path, 6, &error), &error);
    assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), 2);
    yyjson_doc_free(doc);
    doc = NULL;
    check_failure("over", gx_json_read(&doc, path, 5, &over), &over, GX_ERROR_FORMAT, "a.json: 6 bytes, expected at most 5");
    check_failure("absent", gx_json_read(&doc, scratch_path("b.json"), 5, &absent), &absent, GX_ERROR_IO, "b.json: No such file");
    check_failure("broken", gx_json_read(&doc, scratch_write_text("c.json", "[1\n"), 5, &broken), &broken, GX_ERROR_FORMAT, "c.json: line 2, column 1");
    assert_null(doc);
}

static void writing(void **state)
{
    (void)state;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    char *text = NULL;
    size_t nbytes = 0;
    gx_error error = {0};
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "s", "ü\n\"");
    yyjson_mut_obj_add_uint(doc, root, "n", 3);
    check_ok("write", gx_json_write(&text, &nbytes, doc, &error), &error);
    assert_string_equal(text, "{\n  \"s\": \"ü\\n\\\"\",\n  \"n\": 3\n}\n");
    assert_int_equal(nbytes, strlen(text));
    gx_free(text);
    yyjson_mut_doc_free(doc);
}

static void numbers_that_json_cannot_say(void **state)
{
    (void)state;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_arr(doc);
    char *text = NULL;
    size_t nbytes = 0;
    gx_error error = {0};
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_arr_add_real(doc, root, (double)INFINITY);
    yyjson_mut_arr_add_real(doc, root, (double)NAN);
    check_ok("write", gx_json_write(&text, &nbytes, doc, &error), &error);
    assert_string_equal(text, "[\n  null,\n  null\n]\n");
    gx_free(text);
    yyjson_mut_doc_free(doc);
}

static void text_that_json_cannot_say(void **state)
{
    (void)state;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    char *text = NULL;
    size_t nbytes = 77;
    gx_error error = {0};
    yyjson_mut_doc_set_root(doc, yyjson_mut_str(doc, "\xff"));
    check_failure("no UTF-8", gx_json_write(&text, &nbytes, doc, &error), &error, GX_ERROR_FORMAT, "writing JSON: invalid utf-8");
    assert_null(text);
    assert_int_equal(nbytes, 77);
    yyjson_mut_doc_free(doc);
}

/* yyjson's own memory is behind the seam, too. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    const char *path = scratch_write_text("a.json", "{\"a\": [1, 2, 3], \"b\": \"text\"}");
    uint64_t n = 1;
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        yyjson_doc *doc = NULL;
        yyjson_mut_doc *copy = NULL;
        char *text = NULL;
        size_t nbytes = 0;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        status = gx_json_read(&doc, path, 100, &error);
        if (status == GX_OK) {
            copy = yyjson_doc_mut_copy(doc, NULL);
            status = gx_json_write(&text, &nbytes, copy, &error);
        }
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        yyjson_doc_free(doc);
        yyjson_mut_doc_free(copy);
        gx_free(text);
        assert_true(n < 50);
    }
    assert_true(n >= 8); /* arena, file, path, block; text and values; written text: then none is left to fail */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_errors_have_a_place),
        cmocka_unit_test(deep_nesting_is_no_danger),
        cmocka_unit_test(getters_read),
        cmocka_unit_test(absent_and_null_leave_the_default),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(files),
        cmocka_unit_test(writing),
        cmocka_unit_test(numbers_that_json_cannot_say),
        cmocka_unit_test(text_that_json_cannot_say),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
