/* What a hostile file may ask for: sizes of any header stay bounded however large the file is, an error keeps its reason however
 * long a name is; and any call to the operating system may fail. Large files are holes: they take no space. */
#include "checkpoint/checkpoint.h"
#include "support/gguf_bytes.h"

#define HUGE_NBYTES ((off_t)1 << 36)

static void check_refused(const char *what, const char *path, gx_status expected, const char *words)
{
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_failure(what, gx_checkpoint_open(&checkpoint, path, &error), &error, expected, words);
    assert_null(checkpoint);
}

static void add_tensor(gguf_recipe *recipe, const char *name)
{
    gguf_add_tensor(recipe, name, 1, (const uint64_t[]){8}, 0, 0);
    recipe->data_nbytes = 32;
}

static void string(gguf_recipe *r)
{
    gguf_add_key(r, "k", GGUF_STRING);
    gguf_put(&r->pairs, (uint64_t)1 << 28, 8);
}
static void bytes(gguf_recipe *r) { gguf_add_array(r, "k", GGUF_U8, (uint64_t)1 << 34); }
static void strings(gguf_recipe *r) { gguf_add_array(r, "k", GGUF_STRING, (uint64_t)1 << 26); }
static void tensors(gguf_recipe *r) { r->tensor_count = 65537; }
static void pairs(gguf_recipe *r) { r->pair_count = (uint64_t)1 << 30; }
static void key(gguf_recipe *r)
{
    gguf_put(&r->pairs, (uint64_t)1 << 34, 8);
    r->pair_count++;
}

/* 45 bytes are before the string, 5 are left behind it: the next length crosses the limit. */
static void whole_header(gguf_recipe *r)
{
    gguf_add_key(r, "k", GGUF_STRING);
    gguf_put(&r->pairs, ((uint64_t)1 << 28) - 50, 8);
}

static const struct {
    const char *name;
    void (*make)(gguf_recipe *recipe);
    const char *words;
} asks[] = {
    {"a string of 256 MiB", string, "bytes of a string do not fit"},
    {"2^34 numbers", bytes, "17179869184 array elements do not fit"},
    {"2^26 strings", strings, "67108864 array elements do not fit"},
    {"65,537 tensors", tensors, "65537 tensors, expected at most 65536"},
    {"2^30 pairs", pairs, "1073741824 metadata pairs do not fit"},
    {"a key of 16 GiB", key, "bytes of a string do not fit"},
    {"a header over the limit", whole_header, "a header over 268435456 bytes"},
};

static void a_large_file_is_not_believed_for_its_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        gguf_recipe recipe = gguf_new();
        asks[i].make(&recipe);
        if (recipe.tensor_count == 0)
            add_tensor(&recipe, "t");
        const char *path = gguf_write_file(&recipe, "large.gguf");
        gguf_free(&recipe);
        if (truncate(path, HUGE_NBYTES) != 0)
            fail_msg("this file system has no holes");
        check_refused(asks[i].name, path, GX_ERROR_FORMAT, asks[i].words);
    }
    unlink(scratch_path("large.gguf"));
}

/* A large tensor behind a small header is what real files look like: it is believed. */
static void a_large_tensor_is_fine(void **state)
{
    (void)state;
    gguf_recipe recipe = gguf_new();
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    gguf_add_tensor(&recipe, "t", 2, (const uint64_t[]){1 << 16, 1 << 16}, 0, 0);
    const char *path = gguf_write_file(&recipe, "fine.gguf");
    gguf_free(&recipe);
    assert_int_equal(truncate(path, ((off_t)1 << 34) + 4096), 0);
    const uint64_t before = gx_file_nbytes_read_total();
    check_ok("fine", gx_checkpoint_open(&checkpoint, path, &error), &error);
    assert_true(gx_file_nbytes_read_total() - before <= 1 << 18); /* one window */
    assert_int_equal(gx_checkpoint_find(checkpoint, "t")->nbytes, UINT64_C(1) << 34);
    gx_checkpoint_close(checkpoint);
    unlink(path);
}

/* ---- names ---- */

static char long_name[2001];

static const char *write_named_gguf(size_t tensor_nbytes, size_t key_nbytes)
{
    gguf_recipe recipe = gguf_new();
    char name[2001];
    snprintf(name, sizeof name, "%.*s", (int)key_nbytes, long_name);
    gguf_add_u32(&recipe, name, 1);
    snprintf(name, sizeof name, "%.*s", (int)tensor_nbytes, long_name);
    add_tensor(&recipe, name);
    const char *path = gguf_write_file(&recipe, "named.gguf");
    gguf_free(&recipe);
    return path;
}

static const char *write_named_safetensors(size_t name_nbytes, unsigned end)
{
    gx_buffer file = {0};
    char header[2500];
    snprintf(header, sizeof header, "{\"%.*s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,%u]}}", (int)name_nbytes, long_name, end);
    gguf_put_text(&file, header);
    gx_buffer_append(&file, (const char[8]){0}, 8);
    const char *path = scratch_write("named.safetensors", file.data, file.nbytes);
    gx_buffer_deinit(&file);
    return path;
}

static void names_have_a_limit(void **state)
{
    (void)state;
    check_refused("tensor", write_named_gguf(513, 1), GX_ERROR_FORMAT, "a name of 513 bytes, expected at most 512");
    check_refused("key", write_named_gguf(1, 2000), GX_ERROR_FORMAT, "a name of 2000 bytes, expected at most 512");
    check_refused("safetensors", write_named_safetensors(513, 8), GX_ERROR_FORMAT, "a name of 513 bytes, expected at most 512");
    check_refused("safetensors", write_named_safetensors(2000, 8), GX_ERROR_FORMAT, "a name of 2000 bytes, expected at most 512");
    const char *const paths[] = {write_named_gguf(512, 512), write_named_safetensors(512, 8)};
    for (size_t i = 0; i < 2; i++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        check_ok("longest", gx_checkpoint_open(&checkpoint, paths[i], &error), &error);
        gx_checkpoint_close(checkpoint);
    }
}

static void long_names_leave_room_for_the_reason(void **state)
{
    (void)state;
    check_refused("span", write_named_safetensors(512, 4), GX_ERROR_FORMAT, "4 bytes, its shape and type need 8");
    gguf_recipe recipe = gguf_new();
    char name[513];
    snprintf(name, sizeof name, "%.512s", long_name);
    gguf_add_u32(&recipe, name, 1);
    gguf_add_u32(&recipe, name, 1);
    add_tensor(&recipe, "t");
    check_refused("key twice", gguf_write_file(&recipe, "named.gguf"), GX_ERROR_FORMAT, "is there twice");
    gguf_free(&recipe);
    gx_buffer index = {0};
    gx_buffer_printf(&index, "{\"weight_map\":{\"%s\":\"named.safetensors\"}}", long_name);
    write_named_safetensors(512, 8);
    check_refused("map", scratch_write_text("model.safetensors.index.json", gx_buffer_text(&index)), GX_ERROR_FORMAT, "is not in 'named.safetensors'");
    gx_buffer_deinit(&index);
}

/* ---- a split model in a folder ---- */

static void write_part(const char *name, uint32_t number, uint32_t count)
{
    gguf_recipe recipe = gguf_new();
    gguf_add_u32(&recipe, "split.no", number);
    gguf_add_u32(&recipe, "split.count", count);
    add_tensor(&recipe, number == 0 ? "a" : number == 1 ? "b" : "c");
    gguf_write_file(&recipe, name);
    gguf_free(&recipe);
}

static void a_folder_may_hold_a_split_model(void **state)
{
    (void)state;
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    write_part("split/m-00001-of-00003.gguf", 0, 3);
    write_part("split/m-00002-of-00003.gguf", 1, 3);
    write_part("split/m-00003-of-00003.gguf", 2, 3);
    check_ok("split", gx_checkpoint_open(&checkpoint, scratch_path("split"), &error), &error);
    assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 3);
    gx_checkpoint_close(checkpoint);
    unlink(scratch_path("split/m-00001-of-00003.gguf"));
    check_refused("no first part", scratch_path("split"), GX_ERROR_IO, "part 1 of 3 is missing");
    write_part("split/n-00001-of-00003.gguf", 0, 3); /* another model */
    check_refused("two models", scratch_path("split"), GX_ERROR_ARGUMENT, "2 .gguf files; name one");
    unlink(scratch_path("split/n-00001-of-00003.gguf"));
    write_part("split/m-00001-of-00002.gguf", 0, 2); /* another split of it */
    check_refused("two splits", scratch_path("split"), GX_ERROR_ARGUMENT, "2 .gguf files; name one");
}

/* ---- the operating system ---- */

static void sweep(const char *path, uint64_t least)
{
    uint64_t n = 1;
    for (gx_status status = GX_ERROR_IO; status != GX_OK; n++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        gx_file_fail_after(n);
        status = gx_checkpoint_open(&checkpoint, path, &error);
        gx_file_fail_after(0);
        if (status != GX_OK) {
            check_failure("system", status, &error, GX_ERROR_IO, "Input/output error");
            assert_null(checkpoint);
        }
        gx_checkpoint_close(checkpoint);
        assert_true(n < 50);
    }
    assert_int_equal(n, least + 2); /* that many calls, and the attempt in which none failed */
}

static void every_call_may_fail(void **state)
{
    (void)state;
    sweep(write_named_gguf(4, 4), 2);             /* open, one window */
    sweep(write_named_safetensors(4, 8), 3);      /* open, length, header */
    write_part("calls/m-00001-of-00002.gguf", 0, 2);
    write_part("calls/m-00002-of-00002.gguf", 1, 2);
    sweep(scratch_path("calls/m-00002-of-00002.gguf"), 4);
    write_named_safetensors(4, 8);
    sweep(scratch_write_text("model.safetensors.index.json", "{\"weight_map\":{\"nnnn\":\"named.safetensors\"}}"), 5);
}

static void a_read_that_fails_leaves_the_checkpoint(void **state)
{
    (void)state;
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0}, failure = {0};
    uint8_t scratch[8];
    float out[2] = {7, 7};
    check_ok("open", gx_checkpoint_open(&checkpoint, write_named_safetensors(4, 8), &error), &error);
    const gx_tensor *tensor = gx_checkpoint_find(checkpoint, "nnnn");
    gx_file_fail_after(1);
    const gx_status status = gx_checkpoint_read_rows(checkpoint, tensor, 0, 1, scratch, out, &failure);
    gx_file_fail_after(0);
    check_failure("read", status, &failure, GX_ERROR_IO, "named.safetensors: reading: Input/output error");
    assert_true(out[0] == 7);
    check_ok("again", gx_checkpoint_read_rows(checkpoint, tensor, 0, 1, scratch, out, &error), &error);
    assert_true(out[0] == 0 && out[1] == 0);
    gx_checkpoint_close(checkpoint);
}

static int set_up(void **state)
{
    memset(long_name, 'n', sizeof long_name - 1);
    return scratch_open(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_is_not_believed_for_its_size),
        cmocka_unit_test(a_large_tensor_is_fine),
        cmocka_unit_test(names_have_a_limit),
        cmocka_unit_test(long_names_leave_room_for_the_reason),
        cmocka_unit_test(a_folder_may_hold_a_split_model),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(a_read_that_fails_leaves_the_checkpoint),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_close);
}
