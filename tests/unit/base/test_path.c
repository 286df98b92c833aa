/* Paths and folders. */
#include <sys/stat.h>
#include <unistd.h>

#include "support/scratch.h"

static void joining_and_naming(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    assert_string_equal(gx_path_join(arena, "a/b", "c"), "a/b/c");
    assert_string_equal(gx_path_join(arena, "a/b/", "c"), "a/b/c");
    assert_string_equal(gx_path_join(arena, "/", "c"), "/c");
    assert_string_equal(gx_path_name("a/b/c.gguf"), "c.gguf");
    assert_string_equal(gx_path_name("c.gguf"), "c.gguf");
    assert_string_equal(gx_path_name("a/"), "");
    gx_arena_free(arena);
    arena = gx_arena_new();
    gx_alloc_fail_after(1);
    const char *joined = gx_path_join(arena, "a", "b");
    gx_alloc_fail_after(0);
    assert_null(joined);
    gx_arena_free(arena);
}

static void what_is_there(void **state)
{
    (void)state;
    scratch_write_text("file", "");
    assert_true(gx_path_exists(scratch_path("file")));
    assert_false(gx_path_is_folder(scratch_path("file")));
    assert_true(gx_path_is_folder(scratch_folder));
    assert_false(gx_path_exists(scratch_path("absent")));
    assert_false(gx_path_is_folder(scratch_path("absent")));
}

static void folders_with_their_parents(void **state)
{
    (void)state;
    gx_error error = {0};
    check_ok("new", gx_folder_create(scratch_path("x/y//z/"), &error), &error);
    assert_true(gx_path_is_folder(scratch_path("x/y/z")));
    check_ok("again", gx_folder_create(scratch_path("x/y/z"), &error), &error);
    check_ok("root", gx_folder_create("/", &error), &error);
}

static void folders_that_cannot_be(void **state)
{
    (void)state;
    gx_error file = {0}, below = {0}, link = {0}, memory = {0};
    scratch_write_text("taken", "");
    assert_int_equal(symlink("nowhere", scratch_path("dangling")), 0);
    check_failure("file", gx_folder_create(scratch_path("taken"), &file), &file, GX_ERROR_IO, "taken: creating the folder: File exists");
    check_failure("below", gx_folder_create(scratch_path("taken/x"), &below), &below, GX_ERROR_IO, "taken: creating the folder: File exists");
    check_failure("link", gx_folder_create(scratch_path("dangling"), &link), &link, GX_ERROR_IO, "File exists");
    gx_alloc_fail_after(1);
    const gx_status status = gx_folder_create(scratch_path("m"), &memory);
    gx_alloc_fail_after(0);
    check_failure("memory", status, &memory, GX_ERROR_MEMORY, "out of memory");
}

static void listing(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_error error = {0};
    char **names = NULL, name[64], text[16];
    size_t count = 77;
    check_ok("empty", gx_folder_create(scratch_path("list/folder"), &error), &error);
    check_ok("empty", gx_folder_list(arena, scratch_path("list/folder"), &names, &count, &error), &error);
    assert_int_equal(count, 0);
    for (int i = 299; i >= 0; i--) { /* more than fit at first */
        snprintf(name, sizeof name, "list/f%03d", i);
        scratch_write_text(name, "");
    }
    assert_int_equal(mkfifo(scratch_path("list/pipe"), 0666), 0);
    assert_int_equal(symlink("f000", scratch_path("list/link")), 0);
    check_ok("full", gx_folder_list(arena, scratch_path("list"), &names, &count, &error), &error);
    assert_int_equal(count, 301); /* a link to a file is one; the folder and the pipe are not */
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "f%03d", i);
        assert_string_equal(names[i], text);
    }
    assert_string_equal(names[300], "link");
    gx_arena_free(arena);
}

static void folders_that_cannot_be_listed(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_error absent = {0}, file = {0};
    char **names = NULL;
    size_t count = 77;
    scratch_write_text("file", "");
    check_failure("absent", gx_folder_list(arena, scratch_path("absent"), &names, &count, &absent), &absent, GX_ERROR_IO, "absent: No such file");
    check_failure("file", gx_folder_list(arena, scratch_path("file"), &names, &count, &file), &file, GX_ERROR_IO, "file: Not a directory");
    uint64_t n = 1;
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_error error = {0};
        gx_arena *fresh = gx_arena_new();
        assert_null(names);
        assert_int_equal(count, 77);
        gx_alloc_fail_after(n);
        status = gx_folder_list(fresh, scratch_folder, &names, &count, &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_arena_free(fresh);
        assert_true(n < 100);
    }
    assert_true(n > 3);
    gx_arena_free(arena);
}

static void free_space(void **state)
{
    (void)state;
    uint64_t nbytes = 0;
    gx_error error = {0}, absent = {0};
    check_ok("free", gx_disk_free_nbytes(scratch_folder, &nbytes, &error), &error);
    assert_true(nbytes > 0 && nbytes < UINT64_C(1) << 62);
    check_failure("absent", gx_disk_free_nbytes(scratch_path("absent"), &nbytes, &absent), &absent, GX_ERROR_IO, "absent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_and_naming),
        cmocka_unit_test(what_is_there),
        cmocka_unit_test(folders_with_their_parents),
        cmocka_unit_test(folders_that_cannot_be),
        cmocka_unit_test(listing),
        cmocka_unit_test(folders_that_cannot_be_listed),
        cmocka_unit_test(free_space),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
