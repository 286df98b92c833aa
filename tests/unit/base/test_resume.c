/* Outputs that a later run takes up: what was written stays, whatever stops the run. */
#include <unistd.h>

#include "support/scratch.h"

static bool exists(const char *name)
{
    struct stat info;
    return lstat(scratch_path(name), &info) == 0;
}

static void expect_content(const char *name, const char *bytes, size_t nbytes)
{
    char found[256] = {0};
    FILE *file = fopen(scratch_path(name), "rb");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof found, file), nbytes);
    fclose(file);
    assert_memory_equal(found, bytes, nbytes);
}

static gx_output *resume(const char *partial, const char *name)
{
    gx_output *output = NULL;
    gx_error error = {0};
    check_ok(name, gx_output_resume(&output, scratch_path(partial), scratch_path(name), &error), &error);
    return output;
}

static void a_later_run_goes_on(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_output *output = resume("a.half", "a");
    check_ok("extend", gx_output_extend(output, 6, &error), &error);
    check_ok("write", gx_output_write(output, 4, "ef", 2, &error), &error);
    gx_output_suspend(output);
    expect_content("a.half", "\0\0\0\0ef", 6);
    assert_false(exists("a"));
    output = resume("a.half", "a");
    check_ok("write", gx_output_write(output, 0, "abcd", 4, &error), &error);
    check_ok("commit", gx_output_commit(output, &error), &error);
    expect_content("a", "abcdef", 6);
    assert_false(exists("a.half"));
    gx_output_suspend(NULL);
}

static void what_is_there_is_kept(void **state)
{
    (void)state;
    gx_error error = {0};
    scratch_write_text("b.half", "abcdef");
    gx_output *output = resume("b.half", "b");
    expect_content("b.half", "abcdef", 6);
    check_ok("shorter", gx_output_extend(output, 3, &error), &error);
    expect_content("b.half", "abc", 3);
    check_ok("longer", gx_output_extend(output, 5, &error), &error);
    expect_content("b.half", "abc\0\0", 5);
    gx_output_discard(output);
    assert_false(exists("b.half"));
    assert_false(exists("b"));
}

/* The file of a download is as long as it will be from the first byte on, long before there must be room for it. */
static void extending_takes_no_space(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_path_info info;
    gx_output *output = resume("c.half", "c");
    check_ok("extend", gx_output_extend(output, UINT64_C(1) << 30, &error), &error);
    assert_true(gx_path_stat(scratch_path("c.half"), &info));
    assert_int_equal(info.nbytes, UINT64_C(1) << 30);
    assert_true(info.allocated_nbytes < 1 << 20);
    gx_output_discard(output);
}

static void sizes_that_no_file_has(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_output *output = resume("d.half", "d");
    const gx_status status = gx_output_extend(output, UINT64_MAX, &error);
    check_failure("extend", status, &error, GX_ERROR_IO, "d: setting its size");
    gx_output_discard(output);
}

static void places_that_cannot_be_taken_up(void **state)
{
    (void)state;
    gx_output *output = NULL;
    gx_error link = {0}, absent = {0}, folder = {0};
    scratch_write_text("precious", "precious");
    assert_int_equal(symlink("precious", scratch_path("e.half")), 0);
    check_failure("link", gx_output_resume(&output, scratch_path("e.half"), scratch_path("e"), &link), &link, GX_ERROR_IO, "e.half");
    expect_content("precious", "precious", 8);
    check_failure("absent", gx_output_resume(&output, scratch_path("no/e"), scratch_path("e"), &absent), &absent, GX_ERROR_IO, "no/e: No such file");
    assert_int_equal(mkdir(scratch_path("f.half"), 0777), 0);
    check_failure("folder", gx_output_resume(&output, scratch_path("f.half"), scratch_path("f"), &folder), &folder, GX_ERROR_IO, "f.half: Is a directory");
    assert_null(output);
}

static gx_status go_on(gx_error *error)
{
    gx_output *output = NULL;
    GX_TRY(gx_output_resume(&output, scratch_path("swept.half"), scratch_path("swept"), error));
    gx_status status = gx_output_extend(output, 6, error);
    if (status == GX_OK)
        status = gx_output_write(output, 3, "def", 3, error);
    gx_output_suspend(output);
    return status;
}

/* Whichever allocation or call fails, what an earlier run wrote is there. */
static void every_step_may_fail(void **state)
{
    (void)state;
    for (int seam = 0; seam < 2; seam++) {
        void (*const fail_after)(uint64_t) = seam ? gx_file_fail_after : gx_alloc_fail_after;
        uint64_t n = 1;
        scratch_write_text("swept.half", "abc");
        for (gx_status status = GX_ERROR_IO; status != GX_OK; n++) {
            char head[4] = {0};
            gx_error error = {0};
            fail_after(n);
            status = go_on(&error);
            fail_after(0);
            FILE *file = fopen(scratch_path("swept.half"), "rb");
            assert_non_null(file);
            assert_int_equal(fread(head, 1, 3, file), 3);
            fclose(file);
            assert_string_equal(head, "abc");
            if (status != GX_OK)
                check_failure("sweep", status, &error, seam ? GX_ERROR_IO : GX_ERROR_MEMORY, seam ? "swept" : "out of memory");
            assert_true(n < 10);
        }
        assert_int_equal(n, 5); /* open, extend, write; three allocations */
        expect_content("swept.half", "abcdef", 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_run_goes_on),
        cmocka_unit_test(what_is_there_is_kept),
        cmocka_unit_test(extending_takes_no_space),
        cmocka_unit_test(sizes_that_no_file_has),
        cmocka_unit_test(places_that_cannot_be_taken_up),
        cmocka_unit_test(every_step_may_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
