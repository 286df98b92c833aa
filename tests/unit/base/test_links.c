/* What a path leads to, links, and removing. */
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "base/threads.h"
#include "support/scratch.h"

static const char *target_of(const char *name)
{
    static char target[512];
    const ssize_t n = readlink(scratch_path(name), target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    return target;
}

static void sizes_and_times(void **state)
{
    (void)state;
    gx_path_info info;
    const struct timespec times[2] = {{.tv_sec = 5, .tv_nsec = 0}, {.tv_sec = 1234567890, .tv_nsec = 250000000}};
    scratch_write("stat/file", "abc", 3);
    assert_int_equal(utimensat(AT_FDCWD, scratch_path("stat/file"), times, 0), 0);
    assert_int_equal(symlink("file", scratch_path("stat/link")), 0);
    assert_int_equal(symlink("nowhere", scratch_path("stat/dangling")), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(gx_path_stat(scratch_path(i ? "stat/link" : "stat/file"), &info));
        assert_int_equal(info.nbytes, 3);
        assert_true(fabs(info.modified - 1234567890.25) < 1e-5);
    }
    assert_int_equal(truncate(scratch_path("stat/file"), 1 << 24), 0);
    assert_true(gx_path_stat(scratch_path("stat/file"), &info));
    assert_int_equal(info.nbytes, 1 << 24);
    assert_true(info.allocated_nbytes < 1 << 20); /* a hole */
    assert_false(gx_path_stat(scratch_path("stat"), &info));
    assert_false(gx_path_stat(scratch_path("stat/dangling"), &info));
    assert_false(gx_path_stat(scratch_path("stat/absent"), &info));
}

static void folders_of_a_folder(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_error error = {0}, absent = {0};
    char **names = NULL;
    size_t count = 77;
    scratch_write_text("tree/b/x", "");
    scratch_write_text("tree/.a/x", "");
    scratch_write_text("tree/file", "");
    assert_int_equal(symlink("b", scratch_path("tree/c")), 0);
    assert_int_equal(symlink("file", scratch_path("tree/d")), 0);
    assert_int_equal(symlink("nowhere", scratch_path("tree/e")), 0);
    check_ok("folders", gx_folder_list_folders(arena, scratch_path("tree"), &names, &count, &error), &error);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], ".a");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "c"); /* a link to one is one */
    check_ok("none", gx_folder_list_folders(arena, scratch_path("tree/b"), &names, &count, &error), &error);
    assert_int_equal(count, 0);
    check_failure("absent", gx_folder_list_folders(arena, scratch_path("no"), &names, &count, &absent), &absent, GX_ERROR_IO, "no: No such file");
    gx_arena_free(arena);
}

static void links_take_a_place(void **state)
{
    (void)state;
    gx_error error = {0}, folder = {0}, below = {0};
    check_ok("new", gx_link_create("../x", scratch_path("link"), scratch_folder, &error), &error);
    assert_string_equal(target_of("link"), "../x"); /* as it was given, though it leads nowhere */
    check_ok("again", gx_link_create("y", scratch_path("link"), scratch_folder, &error), &error);
    assert_string_equal(target_of("link"), "y");
    scratch_write_text("file", "old");
    check_ok("over a file", gx_link_create("z", scratch_path("file"), scratch_folder, &error), &error);
    assert_string_equal(target_of("file"), "z");
    scratch_write_text("full/x", "");
    check_failure("over a folder", gx_link_create("z", scratch_path("full"), scratch_folder, &folder), &folder, GX_ERROR_IO, "full: linking");
    assert_true(gx_path_exists(scratch_path("full/x")));
    check_failure("below nothing", gx_link_create("z", scratch_path("no/link"), scratch_folder, &below), &below, GX_ERROR_IO, "no/link: linking");
}

static gx_status link_often(void *context, size_t item, unsigned worker, gx_error *error)
{
    char target[64];
    (void)item;
    (void)worker;
    for (int i = 0; i < 2000; i++) {
        GX_TRY(gx_link_create("bytes", context, scratch_folder, error));
        if (readlink(context, target, sizeof target) != 5)
            return gx_fail(error, GX_ERROR_IO, "the link is gone for a moment");
    }
    return GX_OK;
}

/* Two runs that find the same bytes make the same link: neither fails, and no reader finds it missing. */
static void two_make_the_same_link(void **state)
{
    (void)state;
    char path[512];
    gx_error error = {0};
    snprintf(path, sizeof path, "%s", scratch_path("shared"));
    check_ok("links", gx_parallel_for(2, 2, link_often, path, &error), &error);
    assert_string_equal(target_of("shared"), "bytes");
}

static void removing(void **state)
{
    (void)state;
    scratch_write_text("kept/x", "x");
    scratch_write_text("gone/a/b/c", "");
    scratch_write_text("gone/file", "");
    assert_int_equal(symlink("../kept", scratch_path("gone/link")), 0);
    assert_int_equal(symlink("nowhere", scratch_path("gone/a/dangling")), 0);
    gx_path_remove(scratch_path("gone"));
    assert_false(gx_path_exists(scratch_path("gone")));
    assert_true(gx_path_exists(scratch_path("kept/x"))); /* links are not followed */
    assert_int_equal(symlink("kept", scratch_path("to-kept")), 0);
    gx_path_remove(scratch_path("to-kept"));
    assert_string_equal(target_of("to-kept"), "");
    assert_true(gx_path_exists(scratch_path("kept/x")));
    scratch_write_text("single", "");
    gx_path_remove(scratch_path("single"));
    assert_false(gx_path_exists(scratch_path("single")));
    gx_path_remove(scratch_path("absent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_times),
        cmocka_unit_test(folders_of_a_folder),
        cmocka_unit_test(links_take_a_place),
        cmocka_unit_test(two_make_the_same_link),
        cmocka_unit_test(removing),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
