/* The error pattern: the first failure is kept, context goes in front, one line always. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void the_first_failure_is_kept(void **state)
{
    (void)state;
    gx_error error = {0};
    assert_int_equal(gx_fail(&error, GX_ERROR_FORMAT, "%s has %d", "a", 3), GX_ERROR_FORMAT);
    assert_int_equal(gx_fail(&error, GX_ERROR_MEMORY, "later"), GX_ERROR_MEMORY);
    assert_int_equal(error.status, GX_ERROR_FORMAT);
    assert_string_equal(error.message, "a has 3");
    gx_error_clear(&error);
    assert_int_equal(error.status, GX_OK);
    assert_string_equal(error.message, "");
    gx_fail(&error, GX_ERROR_MEMORY, "later");
    assert_string_equal(error.message, "later");
}

static void nobody_needs_to_listen(void **state)
{
    (void)state;
    assert_int_equal(gx_fail(NULL, GX_ERROR_NETWORK, "x"), GX_ERROR_NETWORK);
    assert_int_equal(gx_fail_errno(NULL, ENOSPC, "x"), GX_ERROR_IO);
    gx_error_note(NULL, "x");
    gx_error_clear(NULL);
}

static void the_system_s_reason_follows(void **state)
{
    (void)state;
    gx_error error = {0};
    assert_int_equal(gx_fail_errno(&error, ENOSPC, "%s: writing", "model.onnx"), GX_ERROR_IO);
    assert_string_equal(error.message, "model.onnx: writing: No space left on device");
}

static void context_goes_in_front(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_error_note(&error, "nothing failed");
    assert_string_equal(error.message, "");
    gx_fail(&error, GX_ERROR_FORMAT, "no shape");
    gx_error_note(&error, "tensor '%s'", "a");
    gx_error_note(&error, "shard-2");
    assert_string_equal(error.message, "shard-2: tensor 'a': no shape");
    assert_int_equal(error.status, GX_ERROR_FORMAT);
}

static void one_line_whatever_a_name_holds(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_fail(&error, GX_ERROR_FORMAT, "'%s'", "a\nb\r\033[31m\x7f ü");
    gx_error_note(&error, "%s", "x\ty");
    assert_string_equal(error.message, "x?y: 'a?b??[31m? ü'");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char text[3000];
    gx_error error = {0};
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    gx_fail_errno(&error, ENOENT, "%s", text);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    memset(text, 'b', sizeof text - 1);
    gx_error_note(&error, "%s", text);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_int_equal(error.message[0], 'b');
    assert_int_equal(error.message[sizeof error.message - 2], 'a'); /* context never pushes all of the reason out */
}

static void version_is_the_header_s(void **state)
{
    (void)state;
    int major = -1, minor = -1, patch = -1, length = 0;
    assert_int_equal(sscanf(gx_version(), "%d.%d.%d%n", &major, &minor, &patch, &length), 3);
    assert_int_equal(length, strlen(gx_version()));
    assert_int_equal(major, GX_VERSION_MAJOR);
    assert_int_equal(minor, GX_VERSION_MINOR);
    assert_int_equal(patch, GX_VERSION_PATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failure_is_kept),
        cmocka_unit_test(nobody_needs_to_listen),
        cmocka_unit_test(the_system_s_reason_follows),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(one_line_whatever_a_name_holds),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(version_is_the_header_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
