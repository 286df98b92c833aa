/* The growable buffer: content, text, moving out, and a failure that sticks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buffer.h"

static void grows_and_keeps(void **state)
{
    (void)state;
    gx_buffer buffer = {0};
    for (int i = 0; i < 5000; i++) {
        gx_buffer_append_byte(&buffer, (uint8_t)i);
        gx_buffer_append(&buffer, "xyz", 3);
    }
    assert_int_equal(gx_buffer_check(&buffer, NULL), GX_OK);
    assert_int_equal(buffer.nbytes, 20000);
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(buffer.data[4 * i], i & 255);
        assert_memory_equal(buffer.data + 4 * i + 1, "xyz", 3);
    }
    gx_buffer_deinit(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.nbytes, 0);
}

static void text(void **state)
{
    (void)state;
    gx_buffer buffer = {0};
    assert_string_equal(gx_buffer_text(&buffer), "");
    gx_buffer_append(&buffer, NULL, 0);
    gx_buffer_append_text(&buffer, "");
    assert_string_equal(gx_buffer_text(&buffer), "");
    gx_buffer_append_text(&buffer, "a");
    gx_buffer_printf(&buffer, "%d%s", 12, "b");
    gx_buffer_printf(&buffer, "%s", "");
    assert_string_equal(gx_buffer_text(&buffer), "a12b");
    gx_buffer_append_text(&buffer, "c"); /* the final 0 was no content */
    assert_string_equal(gx_buffer_text(&buffer), "a12bc");
    gx_buffer_clear(&buffer);
    assert_string_equal(gx_buffer_text(&buffer), "");
    gx_buffer_deinit(&buffer);
}

/* Exactly full, and one more, at the first sizes of the memory. */
static void every_length_has_room_for_its_zero(void **state)
{
    (void)state;
    static char letters[1100];
    memset(letters, 'a', sizeof letters);
    for (size_t length = 250; length < 1030; length++) {
        gx_buffer appended = {0}, printed = {0};
        gx_buffer_append(&appended, letters, length);
        gx_buffer_printf(&printed, "%.*s", (int)length, letters);
        assert_int_equal(strlen(gx_buffer_text(&appended)), length);
        assert_int_equal(strlen(gx_buffer_text(&printed)), length);
        gx_buffer_deinit(&appended);
        gx_buffer_deinit(&printed);
    }
}

static void moving_out(void **state)
{
    (void)state;
    gx_buffer buffer = {0};
    char *nothing = gx_buffer_take(&buffer);
    assert_string_equal(nothing, "");
    gx_free(nothing);
    gx_buffer_append_text(&buffer, "abc");
    char *taken = gx_buffer_take(&buffer);
    assert_string_equal(taken, "abc");
    assert_null(buffer.data);
    gx_buffer_append_text(&buffer, "new");
    assert_string_equal(taken, "abc");
    gx_free(taken);
    gx_buffer_deinit(&buffer);
}

static void a_failure_sticks(void **state)
{
    (void)state;
    gx_buffer buffer = {0};
    gx_error error = {0};
    gx_buffer_append_text(&buffer, "abc");
    gx_alloc_fail_after(1);
    gx_buffer_append(&buffer, (const char[1000]){0}, 1000);
    gx_alloc_fail_after(0);
    gx_buffer_append_text(&buffer, "d"); /* would fit, but a gap must not go unseen */
    gx_buffer_printf(&buffer, "e");
    assert_int_equal(buffer.nbytes, 3);
    assert_int_equal(gx_buffer_check(&buffer, &error), GX_ERROR_MEMORY);
    assert_string_equal(error.message, "out of memory");
    assert_null(gx_buffer_text(&buffer));
    assert_null(gx_buffer_take(&buffer));
    gx_buffer_deinit(&buffer);
    assert_int_equal(gx_buffer_check(&buffer, NULL), GX_OK);
}

static void sizes_that_overflow(void **state)
{
    (void)state;
    gx_buffer buffer = {0};
    gx_buffer_append_byte(&buffer, 1);
    gx_buffer_append(&buffer, "", SIZE_MAX);
    assert_int_equal(gx_buffer_check(&buffer, NULL), GX_ERROR_MEMORY);
    gx_buffer_deinit(&buffer);
    gx_buffer_append(&buffer, "", SIZE_MAX / 2);
    assert_int_equal(gx_buffer_check(&buffer, NULL), GX_ERROR_MEMORY);
    gx_buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps), cmocka_unit_test(text),
        cmocka_unit_test(every_length_has_room_for_its_zero), cmocka_unit_test(moving_out),
        cmocka_unit_test(a_failure_sticks), cmocka_unit_test(sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
