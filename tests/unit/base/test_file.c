/* Files for reading: what is opened, what a read gives, what is counted. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/threads.h"
#include "support/scratch.h"

static gx_file *open_file(const char *path)
{
    gx_file *file = NULL;
    gx_error error = {0};
    check_ok("open", gx_file_open(&file, path, &error), &error);
    return file;
}

static void reading_anywhere(void **state)
{
    (void)state;
    char bytes[8];
    gx_error error = {0};
    const char *path = scratch_write("a", "0123456789", 10);
    gx_file *file = open_file(path);
    assert_int_equal(gx_file_nbytes(file), 10);
    assert_string_equal(gx_file_path(file), path);
    check_ok("middle", gx_file_read(file, 3, bytes, 4, &error), &error);
    assert_memory_equal(bytes, "3456", 4);
    check_ok("end", gx_file_read(file, 9, bytes, 1, &error), &error);
    assert_memory_equal(bytes, "9", 1);
    check_ok("nothing", gx_file_read(file, 10, NULL, 0, &error), &error);
    gx_file_close(file);
    gx_file_close(NULL);
}

static void reading_outside(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        size_t nbytes;
    } cases[] = {{10, 1}, {9, 2}, {0, 11}, {11, 0}, {UINT64_MAX, 1}, {UINT64_MAX, 2}, {1, SIZE_MAX}};
    char bytes[16];
    gx_file *file = open_file(scratch_write("a", "0123456789", 10));
    const uint64_t before = gx_file_nbytes_read_total();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        const gx_status status = gx_file_read(file, cases[i].offset, bytes, cases[i].nbytes, &error);
        check_failure("outside", status, &error, GX_ERROR_FORMAT, "outside the file of 10 bytes");
    }
    assert_int_equal(gx_file_nbytes_read_total(), before); /* a refused read reads nothing */
    gx_file_close(file);
}

static void a_file_that_shrinks(void **state)
{
    (void)state;
    char bytes[10];
    gx_error error = {0};
    const char *path = scratch_write("a", "0123456789", 10);
    gx_file *file = open_file(path);
    assert_int_equal(truncate(path, 6), 0);
    check_failure("shrunk", gx_file_read(file, 2, bytes, 8, &error), &error, GX_ERROR_FORMAT, "ends at byte 6; it was 10");
    gx_file_close(file);
}

static void only_regular_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words;
    } cases[] = {{"absent", "No such file"}, {"folder", "not a regular file"}, {"pipe", "not a regular file"}, {"dangling", "No such file"}};
    assert_int_equal(mkdir(scratch_path("folder"), 0777), 0);
    assert_int_equal(mkfifo(scratch_path("pipe"), 0666), 0);
    assert_int_equal(symlink("nowhere", scratch_path("dangling")), 0);
    alarm(20); /* waiting for the pipe's writer would be for ever */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_file *file = NULL;
        gx_error error = {0};
        check_failure(cases[i].name, gx_file_open(&file, scratch_path(cases[i].name), &error), &error, GX_ERROR_IO, cases[i].words);
        assert_non_null(strstr(error.message, cases[i].name));
        assert_null(file);
    }
    alarm(0);
}

static void whole_files(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_error error = {0}, failure = {0};
    char *text = NULL;
    size_t nbytes = 77;
    const char *path = scratch_write("a", "01234\0" "6789", 10);
    check_ok("at the limit", gx_file_read_all(arena, path, 10, &text, &nbytes, &error), &error);
    assert_int_equal(nbytes, 10);
    assert_memory_equal(text, "01234\0" "6789", 11); /* with a 0 behind it */
    text = NULL;
    check_failure("over", gx_file_read_all(arena, path, 9, &text, &nbytes, &failure), &failure, GX_ERROR_FORMAT, "10 bytes, expected at most 9");
    assert_null(text);
    check_ok("empty", gx_file_read_all(arena, scratch_write("b", "", 0), 10, &text, &nbytes, &error), &error);
    assert_int_equal(nbytes, 0);
    assert_string_equal(text, "");
    gx_arena_free(arena);
}

typedef struct shared {
    gx_file *file;
    bool right[64];
} shared;

static gx_status read_piece(void *context, size_t item, unsigned worker, gx_error *error)
{
    shared *s = context;
    uint8_t piece[1000];
    (void)worker;
    GX_TRY(gx_file_read(s->file, 1000 * item, piece, sizeof piece, error));
    s->right[item] = true;
    for (size_t i = 0; i < sizeof piece; i++)
        s->right[item] = s->right[item] && piece[i] == (uint8_t)((1000 * item + i) % 251);
    return GX_OK;
}

static void threads_share_a_file_and_the_count(void **state)
{
    (void)state;
    static uint8_t bytes[64000];
    gx_error error = {0};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i % 251);
    shared s = {.file = open_file(scratch_write("a", bytes, sizeof bytes))};
    const uint64_t before = gx_file_nbytes_read_total();
    check_ok("pieces", gx_parallel_for(64, 4, read_piece, &s, &error), &error);
    for (size_t i = 0; i < 64; i++)
        assert_true(s.right[i]);
    assert_int_equal(gx_file_nbytes_read_total() - before, sizeof bytes);
    gx_file_close(s.file);
}

/* Whichever allocation or call fails: its status, nothing open, nothing written to the outputs. */
static void every_step_may_fail(void **state)
{
    (void)state;
    const char *path = scratch_write("a", "0123456789", 10);
    for (int seam = 0; seam < 2; seam++) {
        void (*const fail_after)(uint64_t) = seam ? gx_file_fail_after : gx_alloc_fail_after;
        uint64_t n = 1;
        for (gx_status status = GX_ERROR_IO; status != GX_OK; n++) {
            gx_arena *arena = gx_arena_new();
            gx_error error = {0};
            char *text = NULL;
            size_t nbytes = 77;
            fail_after(n);
            status = gx_file_read_all(arena, path, 100, &text, &nbytes, &error);
            fail_after(0);
            if (status != GX_OK) {
                check_failure("sweep", status, &error, seam ? GX_ERROR_IO : GX_ERROR_MEMORY, seam ? "Input/output error" : "out of memory");
                assert_null(text);
                assert_int_equal(nbytes, 77);
            }
            gx_arena_free(arena);
            assert_true(n < 10);
        }
        assert_int_equal(n, seam ? 4 : 5); /* open, read; file, path, arena block; then none is left to fail */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_anywhere),
        cmocka_unit_test(reading_outside),
        cmocka_unit_test(a_file_that_shrinks),
        cmocka_unit_test(only_regular_files),
        cmocka_unit_test(whole_files),
        cmocka_unit_test(threads_share_a_file_and_the_count),
        cmocka_unit_test(every_step_may_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
