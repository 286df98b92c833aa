/* GGUF files: versions 2 and 3 are read whole, and each defect is refused for its own reason. */
#include "checkpoint/checkpoint.h"
#include "support/gguf_bytes.h"

#define DIMS(...) sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (const uint64_t[]){__VA_ARGS__}
#define TYPE_F32 0u
#define TYPE_Q4_0 2u
#define TYPE_Q6_K 14u

/* A matrix [3, 64] of Q4_0 (two blocks a row), a vector of 5 floats behind it. */
static gguf_recipe valid(void)
{
    gguf_recipe recipe = gguf_new();
    gguf_add_string(&recipe, "general.architecture", "gemma3");
    gguf_add_u32(&recipe, "gemma3.block_count", 7);
    gguf_add_tensor(&recipe, "matrix", DIMS(64, 3), TYPE_Q4_0, 0);
    gguf_add_tensor(&recipe, "vector", DIMS(5), TYPE_F32, 128);
    recipe.data_nbytes = 148;
    return recipe;
}

static gx_status open_recipe(gx_checkpoint **out, const gguf_recipe *recipe, gx_error *error)
{
    return gx_checkpoint_open(out, gguf_write_file(recipe, "a.gguf"), error);
}

static void check_valid(const gguf_recipe *recipe)
{
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    uint8_t scratch[64];
    float out[64];
    check_ok("valid", open_recipe(&checkpoint, recipe, &error), &error);
    assert_int_equal(gx_checkpoint_get_format(checkpoint), GX_CHECKPOINT_GGUF);
    assert_string_equal(gx_checkpoint_folder(checkpoint), scratch_folder);
    assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 2);
    const gx_tensor *matrix = gx_checkpoint_find(checkpoint, "matrix"), *vector = gx_checkpoint_find(checkpoint, "vector");
    assert_int_equal(matrix->rank, 2);
    assert_int_equal(matrix->shape[0], 3); /* rows first */
    assert_int_equal(matrix->shape[1], 64);
    assert_int_equal(matrix->nbytes, 3 * 2 * 18);
    assert_int_equal(matrix->elements, 192);
    assert_int_equal(matrix->offset % recipe->alignment, 0);
    assert_int_equal(vector->offset - matrix->offset, 128);
    check_ok("row", gx_checkpoint_read_rows(checkpoint, matrix, 2, 1, scratch, out, &error), &error);
    assert_int_equal(scratch[0], 2 * 36); /* data bytes count up */
    gx_checkpoint_close(checkpoint);
}

static void both_versions_are_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        gguf_recipe recipe = valid();
        recipe.version = version;
        check_valid(&recipe);
        gguf_free(&recipe);
    }
}

static void alignments_are_followed(void **state)
{
    (void)state;
    for (uint32_t alignment = 1; alignment <= 128; alignment *= 2) {
        gguf_recipe recipe = valid();
        gguf_add_u32(&recipe, "general.alignment", alignment);
        recipe.alignment = alignment;
        check_valid(&recipe);
        gguf_free(&recipe);
    }
}

/* ---- defects ---- */

static void bad_magic(gguf_recipe *r) { memcpy(r->magic, "GGML", 4); }
static void version_1(gguf_recipe *r) { r->version = 1; }
static void version_4(gguf_recipe *r) { r->version = 4; }
static void big_endian(gguf_recipe *r) { r->version = 0x03000000; }
static void too_many_tensors(gguf_recipe *r) { r->tensor_count = 1000; }
static void most_tensors(gguf_recipe *r) { r->tensor_count = UINT64_MAX; }
static void too_many_pairs(gguf_recipe *r) { r->pair_count = 1000; }
static void most_pairs(gguf_recipe *r) { r->pair_count = UINT64_MAX; }
static void endless_pairs(gguf_recipe *r)
{
    r->pair_count = 16385;
    r->data_nbytes = 16385 * 13;
}
static void no_tensors(gguf_recipe *r)
{
    gx_buffer_clear(&r->tensors);
    r->tensor_count = 0;
}
static void long_string(gguf_recipe *r)
{
    gguf_add_key(r, "k", GGUF_STRING);
    gguf_put(&r->pairs, 100000, 8);
}
static void longest_string(gguf_recipe *r)
{
    gguf_add_key(r, "k", GGUF_STRING);
    gguf_put(&r->pairs, UINT64_MAX, 8);
}
static void long_array(gguf_recipe *r) { gguf_add_array(r, "k", GGUF_F32, 100000); }
static void longest_array(gguf_recipe *r) { gguf_add_array(r, "k", GGUF_U8, UINT64_MAX); }
static void long_array_of_strings(gguf_recipe *r) { gguf_add_array(r, "k", GGUF_STRING, 1000); }
static void nested_array(gguf_recipe *r) { gguf_add_array(r, "k", GGUF_ARRAY, 1); }
static void unknown_element(gguf_recipe *r) { gguf_add_array(r, "k", 13, 1); }
static void unknown_value(gguf_recipe *r) { gguf_add_number(r, "k", 13, 0, 8); }
static void duplicate_key(gguf_recipe *r) { gguf_add_u32(r, "gemma3.block_count", 8); }
static void empty_key(gguf_recipe *r) { gguf_add_u32(r, "", 8); }
static void nul_in_key(gguf_recipe *r)
{
    gguf_put_bytes(&r->pairs, "k\0", 2);
    gguf_put(&r->pairs, GGUF_U32, 4);
    gguf_put(&r->pairs, 1, 4);
    r->pair_count++;
}
static void alignment_0(gguf_recipe *r) { gguf_add_u32(r, "general.alignment", 0); }
static void alignment_48(gguf_recipe *r) { gguf_add_u32(r, "general.alignment", 48); }
static void alignment_huge(gguf_recipe *r) { gguf_add_u32(r, "general.alignment", 1u << 31); }
static void alignment_text(gguf_recipe *r) { gguf_add_string(r, "general.alignment", "32"); }
static void alignment_signed(gguf_recipe *r) { gguf_add_number(r, "general.alignment", GGUF_I32, 32, 4); }
static void unaligned_offset(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(1), TYPE_F32, 33); }
static void outside(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(8), TYPE_F32, 160); }
static void far_outside(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(8), TYPE_F32, (uint64_t)1 << 60); }
static void offset_wraps(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(8), TYPE_F32, UINT64_MAX - 31); }
static void rank_0(gguf_recipe *r) { gguf_add_tensor(r, "t", 0, NULL, TYPE_F32, 0); }
static void rank_5(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(1, 1, 1, 1, 1), TYPE_F32, 0); }
static void rank_most(gguf_recipe *r)
{
    gguf_put_text(&r->tensors, "t");
    gguf_put(&r->tensors, UINT32_MAX, 4);
    gguf_put(&r->tensors, 0, 8);
    gguf_put(&r->tensors, 0, 8);
    gguf_put(&r->tensors, 0, 8);
    r->tensor_count++;
}
static void no_whole_blocks(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(33, 2), TYPE_Q4_0, 160); }
static void no_whole_super_blocks(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(32, 8), TYPE_Q6_K, 160); }
static void size_overflows(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(32, (uint64_t)1 << 60), TYPE_Q4_0, 0); }
static void elements_overflow(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(0, (uint64_t)1 << 32, (uint64_t)1 << 32), TYPE_F32, 0); }
static void unknown_type(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(32), 16, 0); }
static void type_gone(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(32), 4, 0); }
static void duplicate_name(gguf_recipe *r)
{
    gguf_add_tensor(r, "matrix", DIMS(8), TYPE_F32, 160);
    r->data_nbytes = 192;
}
static void overlap(gguf_recipe *r) { gguf_add_tensor(r, "t", DIMS(8), TYPE_F32, 96); }
static void empty_name(gguf_recipe *r) { gguf_add_tensor(r, "", DIMS(1), TYPE_F32, 0); }
static void data_missing(gguf_recipe *r) { r->data_nbytes = 147; }

static const struct {
    const char *name;
    void (*make)(gguf_recipe *recipe);
    gx_status status;
    const char *words;
} defects[] = {
    {"bad magic", bad_magic, GX_ERROR_FORMAT, "not a GGUF file: it begins with bytes 47 47 4d 4c"},
    {"version 1", version_1, GX_ERROR_UNSUPPORTED, "GGUF version 1;"},
    {"version 4", version_4, GX_ERROR_UNSUPPORTED, "GGUF version 4;"},
    {"big endian", big_endian, GX_ERROR_UNSUPPORTED, "a big-endian file"},
    {"too many tensors", too_many_tensors, GX_ERROR_FORMAT, "1000 tensors do not fit"},
    {"most tensors", most_tensors, GX_ERROR_FORMAT, "tensors do not fit"},
    {"too many pairs", too_many_pairs, GX_ERROR_FORMAT, "1000 metadata pairs do not fit"},
    {"most pairs", most_pairs, GX_ERROR_FORMAT, "metadata pairs do not fit"},
    {"endless pairs", endless_pairs, GX_ERROR_FORMAT, "16385 metadata pairs, expected at most 16384"},
    {"no tensors", no_tensors, GX_ERROR_FORMAT, "no tensors"},
    {"long string", long_string, GX_ERROR_FORMAT, "100000 bytes of a string do not fit"},
    {"longest string", longest_string, GX_ERROR_FORMAT, "bytes of a string do not fit"},
    {"long array", long_array, GX_ERROR_FORMAT, "100000 array elements do not fit"},
    {"longest array", longest_array, GX_ERROR_FORMAT, "array elements do not fit"},
    {"long array of strings", long_array_of_strings, GX_ERROR_FORMAT, "1000 array elements do not fit"},
    {"nested array", nested_array, GX_ERROR_FORMAT, "value type 9 in an array"},
    {"unknown element type", unknown_element, GX_ERROR_FORMAT, "value type 13 in an array"},
    {"unknown value type", unknown_value, GX_ERROR_FORMAT, "value type 13"},
    {"duplicate key", duplicate_key, GX_ERROR_FORMAT, "'gemma3.block_count' is there twice"},
    {"empty key", empty_key, GX_ERROR_FORMAT, "a name is empty"},
    {"NUL in a key", nul_in_key, GX_ERROR_FORMAT, "holds a NUL"},
    {"alignment 0", alignment_0, GX_ERROR_FORMAT, "general.alignment"},
    {"alignment 48", alignment_48, GX_ERROR_FORMAT, "no power of two"},
    {"alignment too large", alignment_huge, GX_ERROR_FORMAT, "general.alignment"},
    {"alignment in words", alignment_text, GX_ERROR_FORMAT, "general.alignment"},
    {"alignment signed", alignment_signed, GX_ERROR_FORMAT, "general.alignment"},
    {"unaligned offset", unaligned_offset, GX_ERROR_FORMAT, "'t': offset 33 is no multiple of the alignment 32"},
    {"outside the file", outside, GX_ERROR_FORMAT, "'t': bytes"},
    {"far outside the file", far_outside, GX_ERROR_FORMAT, "are outside the file"},
    {"offset wraps round", offset_wraps, GX_ERROR_FORMAT, "overflows"},
    {"rank 0", rank_0, GX_ERROR_FORMAT, "'t': 0 dimensions"},
    {"rank 5", rank_5, GX_ERROR_FORMAT, "'t': 5 dimensions"},
    {"the largest rank", rank_most, GX_ERROR_FORMAT, "'t': 4294967295 dimensions"},
    {"no whole blocks", no_whole_blocks, GX_ERROR_FORMAT, "no whole Q4_0 blocks"},
    {"no whole super-blocks", no_whole_super_blocks, GX_ERROR_FORMAT, "no whole Q6_K blocks"},
    {"size overflows", size_overflows, GX_ERROR_FORMAT, "overflows"},
    {"elements overflow", elements_overflow, GX_ERROR_FORMAT, "overflows"},
    {"unknown type", unknown_type, GX_ERROR_UNSUPPORTED, "'t': ggml type 16"},
    {"a type that was removed", type_gone, GX_ERROR_UNSUPPORTED, "'t': ggml type 4"},
    {"duplicate name", duplicate_name, GX_ERROR_FORMAT, "'matrix' is there twice"},
    {"overlap", overlap, GX_ERROR_FORMAT, "'matrix' and 't' overlap"},
    {"empty name", empty_name, GX_ERROR_FORMAT, "a name is empty"},
    {"data missing", data_missing, GX_ERROR_FORMAT, "'vector': bytes"},
};

static void defects_are_refused_for_their_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        gguf_recipe recipe = valid();
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        defects[i].make(&recipe);
        const gx_status status = open_recipe(&checkpoint, &recipe, &error);
        check_failure(defects[i].name, status, &error, defects[i].status, defects[i].words);
        assert_non_null(strstr(error.message, "a.gguf"));
        assert_null(checkpoint);
        gguf_free(&recipe);
    }
}

static void add_all_kinds(gguf_recipe *recipe)
{
    gguf_add_every_number(recipe);
    gguf_add_array(recipe, "strings", GGUF_STRING, 1);
    gguf_put_text(&recipe->pairs, "one");
    gguf_add_array(recipe, "shorts", GGUF_I16, 1);
    gguf_put(&recipe->pairs, 1, 2);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    gguf_recipe recipe = valid();
    gx_buffer bytes = {0};
    add_all_kinds(&recipe);
    gguf_write(&recipe, &bytes);
    for (size_t n = 0; n < bytes.nbytes; n++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        const char *path = scratch_write("a.gguf", bytes.data, n);
        check_failure("cut", gx_checkpoint_open(&checkpoint, path, &error), &error, GX_ERROR_FORMAT, "a.gguf");
    }
    gx_buffer_deinit(&bytes);
    gguf_free(&recipe);
}

/* Whatever a single byte becomes, the file is read or refused; what is read lies inside the file. */
static void a_changed_byte_does_no_harm(void **state)
{
    (void)state;
    gguf_recipe recipe = valid();
    gx_buffer bytes = {0};
    add_all_kinds(&recipe);
    gguf_write(&recipe, &bytes);
    for (size_t i = 0; i < bytes.nbytes - recipe.data_nbytes; i++) {
        static const uint8_t masks[] = {0x01, 0x80, 0x09, 0xff};
        for (size_t m = 0; m < sizeof masks; m++) {
            gx_checkpoint *checkpoint = NULL;
            gx_error error = {0};
            bytes.data[i] ^= masks[m];
            const gx_status status = gx_checkpoint_open(&checkpoint, scratch_write("a.gguf", bytes.data, bytes.nbytes), &error);
            bytes.data[i] ^= masks[m];
            assert_true((status == GX_OK) == (error.message[0] == 0));
            for (size_t t = 0; status == GX_OK && t < gx_checkpoint_tensor_count(checkpoint); t++) {
                const gx_tensor *tensor = gx_checkpoint_tensor(checkpoint, t);
                assert_true(tensor->offset <= bytes.nbytes && tensor->nbytes <= bytes.nbytes - tensor->offset);
            }
            gx_checkpoint_close(checkpoint);
        }
    }
    gx_buffer_deinit(&bytes);
    gguf_free(&recipe);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    gguf_recipe recipe = valid();
    uint64_t n = 1;
    add_all_kinds(&recipe);
    const char *path = gguf_write_file(&recipe, "a.gguf");
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        status = gx_checkpoint_open(&checkpoint, path, &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_checkpoint_close(checkpoint);
        assert_true(n < 1000);
    }
    assert_true(n > 6);
    gguf_free(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_are_read),
        cmocka_unit_test(alignments_are_followed),
        cmocka_unit_test(defects_are_refused_for_their_reason),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
