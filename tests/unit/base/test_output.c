/* Output files: nothing under the final name until it is whole, nothing left behind when it is not. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/threads.h"
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

static gx_output *create(const char *name)
{
    gx_output *output = NULL;
    gx_error error = {0};
    check_ok(name, gx_output_create(&output, scratch_path(name), &error), &error);
    return output;
}

static void commit_renames(void **state)
{
    (void)state;
    gx_error error = {0};
    scratch_write_text("a", "old");
    scratch_write_text("a.partial", "left over by a run that was killed");
    gx_output *output = create("a");
    check_ok("resize", gx_output_resize(output, 8, &error), &error);
    check_ok("end", gx_output_write(output, 6, "gh", 2, &error), &error);
    check_ok("begin", gx_output_write(output, 0, "abcd", 4, &error), &error);
    check_ok("nothing", gx_output_write(output, 5, NULL, 0, &error), &error);
    expect_content("a", "old", 3);
    check_ok("commit", gx_output_commit(output, &error), &error);
    expect_content("a", "abcd\0\0gh", 8);
    assert_false(exists("a.partial"));
}

static void discard_removes(void **state)
{
    (void)state;
    gx_error error = {0};
    scratch_write_text("b", "old");
    gx_output *output = create("b");
    assert_true(exists("b.partial"));
    check_ok("write", gx_output_write(output, 0, "new", 3, &error), &error);
    gx_output_discard(output);
    assert_false(exists("b.partial"));
    expect_content("b", "old", 3);
    gx_output_discard(NULL);
}

static void resize_both_ways(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_output *output = create("c");
    check_ok("write", gx_output_write(output, 0, "abcdef", 6, &error), &error);
    check_ok("shrink", gx_output_resize(output, 2, &error), &error);
    check_ok("grow", gx_output_resize(output, 4, &error), &error);
    check_ok("commit", gx_output_commit(output, &error), &error);
    expect_content("c", "ab\0\0", 4);
    output = create("c");
    check_ok("none", gx_output_resize(output, 0, &error), &error);
    check_ok("commit", gx_output_commit(output, &error), &error);
    expect_content("c", "", 0);
}

static void sizes_that_no_disk_has(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {UINT64_C(1) << 62, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gx_error error = {0};
        gx_output *output = create("huge");
        check_failure("huge", gx_output_resize(output, sizes[i], &error), &error, GX_ERROR_IO, "huge: reserving");
        gx_output_discard(output);
        assert_false(exists("huge.partial"));
    }
}

/* The system takes the first part of a write and refuses the rest, as a full disk does: the limit on a file's size. */
static void a_disk_that_fills_up(void **state)
{
    (void)state;
    static const char bytes[3000];
    struct rlimit old, low;
    gx_error error = {0}, reserving = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 4096;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    gx_output *output = create("full");
    setrlimit(RLIMIT_FSIZE, &low);
    const gx_status first = gx_output_write(output, 0, bytes, sizeof bytes, &error);
    const gx_status second = gx_output_write(output, 3000, bytes, sizeof bytes, &error);
    const gx_status resize = gx_output_resize(output, 8192, &reserving);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, handler);
    assert_int_equal(first, GX_OK);
    check_failure("write", second, &error, GX_ERROR_IO, "full: writing: File too large");
    check_failure("resize", resize, &reserving, GX_ERROR_IO, "full: reserving 8192 bytes: File too large");
    gx_output_discard(output);
    assert_false(exists("full.partial"));
}

static void places_that_cannot_be_written(void **state)
{
    (void)state;
    gx_output *output = NULL;
    gx_error absent = {0}, link = {0}, folder = {0}, error = {0};
    check_failure("absent", gx_output_create(&output, scratch_path("no/folder"), &absent), &absent, GX_ERROR_IO, "no/folder.partial: No such file");
    assert_int_equal(symlink(scratch_path("victim"), scratch_path("d.partial")), 0);
    check_failure("link", gx_output_create(&output, scratch_path("d"), &link), &link, GX_ERROR_IO, "d.partial");
    assert_false(exists("victim")); /* nothing is written through a link that somebody laid there */
    assert_null(output);
    scratch_write_text("taken/x", "");
    output = create("taken");
    check_ok("write", gx_output_write(output, 0, "x", 1, &error), &error);
    check_failure("a folder", gx_output_commit(output, &folder), &folder, GX_ERROR_IO, "renaming");
    assert_false(exists("taken.partial"));
    assert_true(exists("taken/x"));
}

static gx_status write_piece(void *context, size_t item, unsigned worker, gx_error *error)
{
    const uint8_t bytes[3] = {(uint8_t)item, (uint8_t)item, (uint8_t)item};
    (void)worker;
    return gx_output_write(context, 3 * item, bytes, 3, error);
}

static void threads_share_an_output(void **state)
{
    (void)state;
    char expected[192];
    gx_error error = {0};
    gx_output *output = create("shared");
    check_ok("pieces", gx_parallel_for(64, 4, write_piece, output, &error), &error);
    check_ok("commit", gx_output_commit(output, &error), &error);
    for (size_t i = 0; i < sizeof expected; i++)
        expected[i] = (char)(i / 3);
    expect_content("shared", expected, sizeof expected);
}

static gx_status write_sized(const char *path, gx_error *error)
{
    gx_output *output = NULL;
    GX_TRY(gx_output_create(&output, path, error));
    gx_status status = gx_output_resize(output, 3, error);
    if (status == GX_OK)
        status = gx_output_write(output, 0, "new", 3, error);
    if (status == GX_OK)
        return gx_output_commit(output, error);
    gx_output_discard(output);
    return status;
}

/* Whichever allocation or call fails: the old file is whole, no partial one is there. */
static void every_step_may_fail(void **state)
{
    (void)state;
    for (int seam = 0; seam < 2; seam++) {
        void (*const fail_after)(uint64_t) = seam ? gx_file_fail_after : gx_alloc_fail_after;
        uint64_t n = 1;
        scratch_write_text("swept", "old");
        for (gx_status status = GX_ERROR_IO; status != GX_OK; n++) {
            gx_error error = {0};
            fail_after(n);
            status = write_sized(scratch_path("swept"), &error);
            fail_after(0);
            expect_content("swept", status == GX_OK ? "new" : "old", 3);
            assert_false(exists("swept.partial"));
            if (status != GX_OK)
                check_failure("sweep", status, &error, seam ? GX_ERROR_IO : GX_ERROR_MEMORY, seam ? "swept" : "out of memory");
            assert_true(n < 10);
        }
        assert_int_equal(n, seam ? 6 : 5); /* create, resize, write, rename; three allocations */
    }
}

static void small_files_at_once(void **state)
{
    (void)state;
    gx_error error = {0}, failure = {0};
    check_ok("write", gx_file_write_all(scratch_path("small"), "a\0b", 3, &error), &error);
    expect_content("small", "a\0b", 3);
    gx_file_fail_after(2); /* the write */
    const gx_status status = gx_file_write_all(scratch_path("small"), "new", 3, &failure);
    gx_file_fail_after(0);
    check_failure("write", status, &failure, GX_ERROR_IO, "small: writing");
    expect_content("small", "a\0b", 3);
    assert_false(exists("small.partial"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_renames),
        cmocka_unit_test(discard_removes),
        cmocka_unit_test(resize_both_ways),
        cmocka_unit_test(sizes_that_no_disk_has),
        cmocka_unit_test(a_disk_that_fills_up),
        cmocka_unit_test(places_that_cannot_be_written),
        cmocka_unit_test(threads_share_an_output),
        cmocka_unit_test(every_step_may_fail),
        cmocka_unit_test(small_files_at_once),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
