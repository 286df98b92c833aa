/* Folders: which file is opened, shards behind an index, and what is wrong with them. */
#include "checkpoint/checkpoint.h"
#include "support/gguf_bytes.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A file with one fp32 number per name, counting up from 0. */
static void write_shard(const char *path, const char *const *names)
{
    gx_buffer header = {0}, file = {0};
    uint64_t at = 0;
    for (; *names; names++, at += 4)
        gx_buffer_printf(&header, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}", at ? ',' : '{', *names,
            (int)at, (int)at + 4);
    gx_buffer_append_byte(&header, '}');
    gguf_put_bytes(&file, (const char *)header.data, header.nbytes);
    for (float value = 0; (uint64_t)value < at / 4; value++)
        gx_buffer_append(&file, &value, sizeof value);
    assert_false(file.failed);
    scratch_write(path, file.data, file.nbytes);
    gx_buffer_deinit(&header);
    gx_buffer_deinit(&file);
}

static void write_gguf(const char *path)
{
    gguf_recipe recipe = gguf_new();
    gguf_add_tensor(&recipe, "g", 1, (const uint64_t[]){1}, 0, 0);
    recipe.data_nbytes = 4;
    gguf_write_file(&recipe, path);
    gguf_free(&recipe);
}

static gx_checkpoint *open_valid(const char *folder)
{
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_ok(folder, gx_checkpoint_open(&checkpoint, scratch_path(folder), &error), &error);
    return checkpoint;
}

static void check_refused(const char *folder, gx_status expected, const char *words)
{
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_failure(folder, gx_checkpoint_open(&checkpoint, scratch_path(folder), &error), &error, expected, words);
    assert_null(checkpoint);
}

#define INDEX "model.safetensors.index.json"

static void shards_are_one_checkpoint(void **state)
{
    (void)state;
    write_shard("two/s1.safetensors", NAMES("a", "b"));
    write_shard("two/s2.safetensors", NAMES("c", "not in the map"));
    scratch_write_text("two/" INDEX,
                       "{\"metadata\":{},\"weight_map\":{\"c\":\"s2.safetensors\",\"a\":\"s1.safetensors\",\"b\":\"s1.safetensors\"}}");
    gx_checkpoint *checkpoint = open_valid("two");
    gx_error error = {0};
    uint8_t scratch[4];
    float out = -1;
    assert_int_equal(gx_checkpoint_file_count(checkpoint), 2);
    assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 4);
    const gx_tensor *b = gx_checkpoint_find(checkpoint, "b");
    assert_string_equal(gx_path_name(gx_file_path(gx_checkpoint_file(checkpoint, b->file))), "s1.safetensors");
    check_ok("row", gx_checkpoint_read_rows(checkpoint, b, 0, 1, scratch, &out, &error), &error);
    assert_true(out == 1);
    assert_string_equal(gx_checkpoint_folder(checkpoint), scratch_path("two"));
    gx_checkpoint_close(checkpoint);
    checkpoint = open_valid("two/" INDEX); /* the index itself may be named */
    assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 4);
    gx_checkpoint_close(checkpoint);
}

static const struct {
    const char *defect, *index;
    gx_status status;
    const char *words;
} defects[] = {
    {"no JSON", "weight_map", GX_ERROR_FORMAT, INDEX ": line 1, column 1"},
    {"a list", "[]", GX_ERROR_FORMAT, "no 'weight_map'"},
    {"no map", "{}", GX_ERROR_FORMAT, "no 'weight_map'"},
    {"a map that is a list", "{\"weight_map\":[]}", GX_ERROR_FORMAT, "no 'weight_map'"},
    {"an empty map", "{\"weight_map\":{}}", GX_ERROR_FORMAT, "no 'weight_map'"},
    {"a number for a file", "{\"weight_map\":{\"a\":1}}", GX_ERROR_FORMAT, "the shard of 'a' is no plain file name"},
    {"the folder above", "{\"weight_map\":{\"a\":\"../x\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"a folder below", "{\"weight_map\":{\"a\":\"sub/x\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"an absolute path", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"a backslash", "{\"weight_map\":{\"a\":\"..\\\\x\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"the folder itself", "{\"weight_map\":{\"a\":\".\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"its parent", "{\"weight_map\":{\"a\":\"..\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"no name", "{\"weight_map\":{\"a\":\"\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"NUL in a name", "{\"weight_map\":{\"a\":\"one.safetensors\\u0000x\"}}", GX_ERROR_FORMAT, "no plain file name"},
    {"shard missing", "{\"weight_map\":{\"a\":\"absent.safetensors\"}}", GX_ERROR_IO, "absent.safetensors: No such file"},
    {"shard no safetensors", "{\"weight_map\":{\"a\":\"" INDEX "\"}}", GX_ERROR_FORMAT, "a header of"},
    {"tensor nowhere", "{\"weight_map\":{\"z\":\"one.safetensors\"}}", GX_ERROR_FORMAT, "tensor 'z' is not in 'one.safetensors'"},
    {"tensor elsewhere", "{\"weight_map\":{\"a\":\"two.safetensors\",\"c\":\"one.safetensors\"}}", GX_ERROR_FORMAT, "tensor 'a' is not in"},
    {"tensor in two shards", "{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"also_a.safetensors\"}}", GX_ERROR_FORMAT,
     "'a' is there twice"},
};

static void defective_indexes_are_refused(void **state)
{
    (void)state;
    write_shard("bad/one.safetensors", NAMES("a", "b"));
    write_shard("bad/two.safetensors", NAMES("c", "d"));
    write_shard("bad/also_a.safetensors", NAMES("c", "a"));
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        scratch_write_text("bad/" INDEX, defects[i].index);
        check_failure(defects[i].defect, gx_checkpoint_open(&checkpoint, scratch_path("bad"), &error), &error, defects[i].status,
                      defects[i].words);
        assert_null(checkpoint);
    }
}

static void an_index_cut_anywhere_is_refused(void **state)
{
    (void)state;
    static const char index[] = "{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}";
    write_shard("cut/one.safetensors", NAMES("a"));
    write_shard("cut/two.safetensors", NAMES("c"));
    for (size_t n = 0; n < strlen(index); n++) {
        scratch_write("cut/" INDEX, index, n);
        check_refused("cut", GX_ERROR_FORMAT, INDEX);
    }
    scratch_write("cut/" INDEX, index, strlen(index));
    gx_checkpoint_close(open_valid("cut"));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    uint64_t n = 1;
    write_shard("memory/one.safetensors", NAMES("a"));
    write_shard("memory/two.safetensors", NAMES("c"));
    scratch_write_text("memory/" INDEX, "{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        status = gx_checkpoint_open(&checkpoint, scratch_path("memory"), &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_checkpoint_close(checkpoint);
        assert_true(n < 1000);
    }
    assert_true(n > 10);
}

/* ---- which file ---- */

static void a_whole_file_goes_before_an_index(void **state)
{
    (void)state;
    write_shard("both/model.safetensors", NAMES("whole"));
    scratch_write_text("both/" INDEX, "not even JSON");
    gx_checkpoint *checkpoint = open_valid("both");
    assert_non_null(gx_checkpoint_find(checkpoint, "whole"));
    gx_checkpoint_close(checkpoint);
}

static void the_only_file_is_taken(void **state)
{
    (void)state;
    write_shard("only/anything.safetensors", NAMES("a"));
    write_gguf("only/beside.gguf"); /* safetensors go first */
    gx_checkpoint *checkpoint = open_valid("only");
    assert_int_equal(gx_checkpoint_get_format(checkpoint), GX_CHECKPOINT_SAFETENSORS);
    gx_checkpoint_close(checkpoint);
    write_gguf("gguf/model-q8.gguf");
    scratch_write_text("gguf/README.md", "");
    checkpoint = open_valid("gguf");
    assert_int_equal(gx_checkpoint_get_format(checkpoint), GX_CHECKPOINT_GGUF);
    assert_string_equal(gx_checkpoint_folder(checkpoint), scratch_path("gguf"));
    gx_checkpoint_close(checkpoint);
}

static void ambiguous_folders_are_refused(void **state)
{
    (void)state;
    scratch_write_text("none/config.json", "{}");
    check_refused("none", GX_ERROR_FORMAT, "no model.safetensors, no");
    write_shard("several/a.safetensors", NAMES("a"));
    write_shard("several/b.safetensors", NAMES("b"));
    check_refused("several", GX_ERROR_FORMAT, "2 .safetensors files, but no model.safetensors.index.json");
    write_gguf("ggufs/a.gguf");
    write_gguf("ggufs/b.gguf");
    check_refused("ggufs", GX_ERROR_ARGUMENT, "2 .gguf files; name one");
    check_refused("absent", GX_ERROR_IO, "absent: No such file");
}

/* Whatever a file is called that is not safetensors, it must begin as a GGUF does. */
static void other_files_are_no_gguf(void **state)
{
    (void)state;
    scratch_write_text("notes.txt", "Hello, this is no checkpoint");
    check_refused("notes.txt", GX_ERROR_FORMAT, "not a GGUF file: it begins with bytes 48 65 6c 6c");
    scratch_write_text("empty.gguf", "");
    check_refused("empty.gguf", GX_ERROR_FORMAT, "the file ends at byte 0");
}

static void a_path_without_folder_is_in_this_one(void **state)
{
    (void)state;
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    char here[512];
    write_gguf("here.gguf");
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(scratch_folder), 0);
    const gx_status status = gx_checkpoint_open(&checkpoint, "here.gguf", &error);
    assert_int_equal(chdir(here), 0);
    check_ok("here", status, &error);
    assert_string_equal(gx_checkpoint_folder(checkpoint), ".");
    gx_checkpoint_close(checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_one_checkpoint),
        cmocka_unit_test(defective_indexes_are_refused),
        cmocka_unit_test(an_index_cut_anywhere_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_whole_file_goes_before_an_index),
        cmocka_unit_test(the_only_file_is_taken),
        cmocka_unit_test(ambiguous_folders_are_refused),
        cmocka_unit_test(other_files_are_no_gguf),
        cmocka_unit_test(a_path_without_folder_is_in_this_one),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
