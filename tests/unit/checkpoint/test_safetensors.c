/* Safetensors files: a valid one is read whole, and each defect is refused for its own reason. */
#include "checkpoint/checkpoint.h"
#include "support/scratch.h"

static gx_status open_bytes(gx_checkpoint **out, const void *bytes, size_t nbytes, gx_error *error)
{
    return gx_checkpoint_open(out, scratch_write("a.safetensors", bytes, nbytes), error);
}

/* length, header, data: 0, 1, 2, … */
static size_t make_file(uint8_t *out, const char *header, size_t data_nbytes)
{
    const uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(length >> 8 * i);
    memcpy(out + 8, header, length);
    for (size_t i = 0; i < data_nbytes; i++)
        out[8 + length + i] = (uint8_t)i;
    return 8 + length + data_nbytes;
}

static const char valid_header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                   "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
                                   "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                   "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[32,32]},"
                                   "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[34,42]},"
                                   "\"scalar\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[32,34]}}   ";
#define VALID_DATA 42

static void a_valid_file_is_indexed(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_ok("valid", open_bytes(&checkpoint, bytes, make_file(bytes, valid_header, VALID_DATA), &error), &error);
    assert_int_equal(gx_checkpoint_get_format(checkpoint), GX_CHECKPOINT_SAFETENSORS);
    assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 5);
    assert_int_equal(gx_checkpoint_file_count(checkpoint), 1);
    assert_string_equal(gx_checkpoint_folder(checkpoint), scratch_folder);
    static const char *const order[] = {"a", "b", "empty", "scalar", "ids"}; /* by place */
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(gx_checkpoint_tensor(checkpoint, i)->name, order[i]);
    const gx_tensor *a = gx_checkpoint_find(checkpoint, "a");
    assert_int_equal(a->dtype, GX_DTYPE_F32);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->shape[0], 2);
    assert_int_equal(a->shape[1], 3);
    assert_int_equal(a->elements, 6);
    assert_int_equal(a->nbytes, 24);
    assert_int_equal(a->offset, 8 + strlen(valid_header));
    assert_int_equal(gx_checkpoint_find(checkpoint, "scalar")->elements, 1);
    assert_int_equal(gx_checkpoint_find(checkpoint, "empty")->elements, 0);
    assert_null(gx_checkpoint_find(checkpoint, "__metadata__"));
    assert_null(gx_checkpoint_find(checkpoint, "c"));
    assert_null(gx_checkpoint_metadata(checkpoint, "format")); /* metadata is GGUF's */
    gx_checkpoint_close(checkpoint);
}

static void rows_are_decoded(void **state)
{
    (void)state;
    uint8_t bytes[1024], scratch[64];
    float out[6], expected[3];
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_ok("valid", open_bytes(&checkpoint, bytes, make_file(bytes, valid_header, VALID_DATA), &error), &error);
    const gx_tensor *a = gx_checkpoint_find(checkpoint, "a");
    uint64_t nbytes = 0;
    const uint64_t before = gx_file_nbytes_read_total();
    check_ok("size", gx_tensor_rows_nbytes(a, 1, &nbytes, &error), &error);
    assert_int_equal(nbytes, 12);
    check_ok("row", gx_checkpoint_read_rows(checkpoint, a, 1, 1, scratch, out, &error), &error);
    memcpy(expected, bytes + 8 + strlen(valid_header) + 12, 12);
    assert_memory_equal(out, expected, 12);
    assert_int_equal(gx_file_nbytes_read_total() - before, 12);
    check_ok("none", gx_checkpoint_read_rows(checkpoint, a, 2, 0, scratch, out, &error), &error);
    check_ok("scalar", gx_checkpoint_read_rows(checkpoint, gx_checkpoint_find(checkpoint, "scalar"), 0, 1, scratch, out, &error), &error);
    gx_checkpoint_close(checkpoint);
}

static void rows_outside_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *tensor;
        uint64_t first, rows;
        gx_status status;
        const char *words;
    } cases[] = {
        {"a", 2, 1, GX_ERROR_ARGUMENT, "outside"},
        {"a", 0, 3, GX_ERROR_ARGUMENT, "outside"},
        {"a", 1, 2, GX_ERROR_ARGUMENT, "outside"},
        {"a", UINT64_MAX, 1, GX_ERROR_ARGUMENT, "18446744073709551615 rows"},
        {"a", UINT64_MAX / 12 + 1, 1, GX_ERROR_ARGUMENT, "rows"}, /* its offset wraps round */
        {"a", 0, UINT64_MAX / 4, GX_ERROR_ARGUMENT, "rows"},
        {"ids", 0, 1, GX_ERROR_UNSUPPORTED, "I64"},
    };
    uint8_t bytes[1024], scratch[64];
    float out[6];
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_ok("valid", open_bytes(&checkpoint, bytes, make_file(bytes, valid_header, VALID_DATA), &error), &error);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error failure = {0};
        const gx_status status = gx_checkpoint_read_rows(checkpoint, gx_checkpoint_find(checkpoint, cases[i].tensor), cases[i].first,
                                                         cases[i].rows, scratch, out, &failure);
        check_failure(cases[i].tensor, status, &failure, cases[i].status, cases[i].words);
    }
    gx_checkpoint_close(checkpoint);
}

#define TENSOR(name, dtype, shape, span) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" span "}"

static const struct {
    const char *defect, *header;
    size_t data_nbytes;
    gx_status status;
    const char *words;
} defects[] = {
    {"empty header", "", 8, GX_ERROR_FORMAT, "line"},
    {"JSON cut off", "{\"a\":", 8, GX_ERROR_FORMAT, "line 1, column"},
    {"text after the JSON", "{} x", 0, GX_ERROR_FORMAT, "line 1"},
    {"no UTF-8", "{" TENSOR("\xff", "F32", "[1]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "line 1"},
    {"no object", "[]", 0, GX_ERROR_FORMAT, "no JSON object"},
    {"no tensors", "{}", 0, GX_ERROR_FORMAT, "no tensors"},
    {"only metadata", "{\"__metadata__\":{}}", 0, GX_ERROR_FORMAT, "no tensors"},
    {"a string for a tensor", "{\"a\":\"b\"}", 0, GX_ERROR_FORMAT, "'a' is described by a string"},
    {"unknown dtype", "{" TENSOR("a", "F7", "[1]", "[0,4]") "}", 4, GX_ERROR_UNSUPPORTED, "'F7'"},
    {"a dtype of GGUF's", "{" TENSOR("a", "Q4_0", "[32]", "[0,18]") "}", 18, GX_ERROR_UNSUPPORTED, "'Q4_0'"},
    {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, GX_ERROR_UNSUPPORTED, "(none)"},
    {"a number for a dtype", "{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, GX_ERROR_FORMAT,
     "'dtype' is an integer, expected a string"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, GX_ERROR_FORMAT, "'shape'"},
    {"a shape that is no list", "{" TENSOR("a", "F32", "1", "[0,4]") "}", 4, GX_ERROR_FORMAT, "'shape'"},
    {"negative size", "{" TENSOR("a", "F32", "[1,-1]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "shape[1]"},
    {"half a size", "{" TENSOR("a", "F32", "[0.5]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "shape[0]"},
    {"size over 64 bits", "{" TENSOR("a", "F32", "[18446744073709551616]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "shape[0]"},
    {"rank 9", "{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "at most 8"},
    {"elements overflow", "{" TENSOR("a", "F32", "[4294967296,4294967296,2]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "overflows"},
    {"bytes overflow to 0", "{" TENSOR("a", "F32", "[4611686018427387904]", "[0,0]") "}", 4, GX_ERROR_FORMAT, "overflows"},
    {"bytes overflow to 4", "{" TENSOR("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "overflows"},
    {"no span", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, GX_ERROR_FORMAT, "'data_offsets'"},
    {"half a span", "{" TENSOR("a", "F32", "[1]", "[0]") "}", 4, GX_ERROR_FORMAT, "'data_offsets'"},
    {"three offsets", "{" TENSOR("a", "F32", "[1]", "[0,4,8]") "}", 8, GX_ERROR_FORMAT, "'data_offsets'"},
    {"negative offset", "{" TENSOR("a", "F32", "[1]", "[-4,0]") "}", 4, GX_ERROR_FORMAT, "'data_offsets'"},
    {"offsets in words", "{" TENSOR("a", "F32", "[1]", "[\"0\",\"4\"]") "}", 4, GX_ERROR_FORMAT, "'data_offsets'"},
    {"span backwards", "{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 8, GX_ERROR_FORMAT, "bytes 4 … 0 are outside"},
    {"span outside", "{" TENSOR("a", "F32", "[2]", "[0,8]") "}", 7, GX_ERROR_FORMAT, "bytes 0 … 8 are outside the data section of 7"},
    {"span near 2^64", "{" TENSOR("a", "F32", "[1]", "[18446744073709551611,18446744073709551615]") "}", 4, GX_ERROR_FORMAT, "outside"},
    {"span too short", "{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 8, GX_ERROR_FORMAT, "4 bytes, its shape and type need 8"},
    {"span too long", "{" TENSOR("a", "F32", "[2]", "[0,12]") "}", 12, GX_ERROR_FORMAT, "12 bytes, its shape and type need 8"},
    {"overlap", "{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[2]", "[4,12]") "}", 12, GX_ERROR_FORMAT,
     "'a' and 'b' overlap"},
    {"overlap by a byte", "{" TENSOR("a", "U8", "[5]", "[0,5]") "," TENSOR("b", "U8", "[4]", "[4,8]") "}", 8, GX_ERROR_FORMAT,
     "'a' and 'b' overlap"},
    {"the same bytes twice", "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[0,4]") "}", 4, GX_ERROR_FORMAT,
     "overlap"},
    {"one inside the other", "{" TENSOR("a", "F32", "[3]", "[0,12]") "," TENSOR("b", "F32", "[1]", "[4,8]") "}", 12, GX_ERROR_FORMAT,
     "overlap"},
    {"duplicate name", "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, GX_ERROR_FORMAT,
     "'a' is there twice"},
    {"NUL in a name", "{" TENSOR("a\\u0000b", "F32", "[1]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "'a…': its name holds a NUL"},
    {"NUL after the metadata's name", "{" TENSOR("__metadata__\\u0000", "F32", "[1]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "NUL"},
    {"NUL in a dtype", "{" TENSOR("a", "F32\\u0000", "[1]", "[0,4]") "}", 4, GX_ERROR_FORMAT, "'dtype' holds a NUL"},
    {"line break in a name", "{" TENSOR("a\\nb", "F32", "[1]", "[0,8]") "}", 8, GX_ERROR_FORMAT, "'a?b'"},
};

static void defects_are_refused_for_their_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        uint8_t bytes[1024];
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        const gx_status status = open_bytes(&checkpoint, bytes, make_file(bytes, defects[i].header, defects[i].data_nbytes), &error);
        check_failure(defects[i].defect, status, &error, defects[i].status, defects[i].words);
        assert_non_null(strstr(error.message, "a.safetensors"));
        assert_null(checkpoint);
    }
}

static void header_lengths_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *defect;
        uint64_t length;
        long long file_nbytes;
        const char *words;
    } cases[] = {
        {"no file at all", 0, 0, "0 bytes, too short"},
        {"seven bytes", 0, 7, "7 bytes, too short"},
        {"one byte too long", 93, 100, "a header of 93 bytes does not fit"},
        {"longest number", UINT64_MAX, 100, "does not fit"},
        {"wraps round", UINT64_MAX - 7, 100, "does not fit"},
        {"over the limit", 100000001, 200000000, "over 100000000"}, /* a hole: takes no space */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t prefix[8];
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        for (int k = 0; k < 8; k++)
            prefix[k] = (uint8_t)(cases[i].length >> 8 * k);
        const char *path = scratch_write("a.safetensors", prefix, sizeof prefix);
        assert_int_equal(truncate(path, (off_t)cases[i].file_nbytes), 0);
        check_failure(cases[i].defect, gx_checkpoint_open(&checkpoint, path, &error), &error, GX_ERROR_FORMAT, cases[i].words);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    const size_t nbytes = make_file(bytes, valid_header, VALID_DATA);
    for (size_t n = 0; n < nbytes; n++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        check_failure("cut", open_bytes(&checkpoint, bytes, n, &error), &error, GX_ERROR_FORMAT, "a.safetensors");
    }
}

/* Whatever a single byte becomes, the file is read or refused; what is read lies inside the file. */
static void a_changed_byte_does_no_harm(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    const size_t nbytes = make_file(bytes, valid_header, VALID_DATA);
    for (size_t i = 0; i < nbytes - VALID_DATA; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            gx_checkpoint *checkpoint = NULL;
            gx_error error = {0};
            bytes[i] ^= (uint8_t)(1u << bit);
            const gx_status status = open_bytes(&checkpoint, bytes, nbytes, &error);
            bytes[i] ^= (uint8_t)(1u << bit);
            assert_true((status == GX_OK) == (error.message[0] == 0));
            for (size_t t = 0; status == GX_OK && t < gx_checkpoint_tensor_count(checkpoint); t++) {
                const gx_tensor *tensor = gx_checkpoint_tensor(checkpoint, t);
                assert_true(tensor->offset <= nbytes && tensor->nbytes <= nbytes - tensor->offset);
            }
            gx_checkpoint_close(checkpoint);
        }
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    const char *path = scratch_write("a.safetensors", bytes, make_file(bytes, valid_header, VALID_DATA));
    uint64_t n = 1;
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
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    gx_checkpoint *checkpoint = NULL;
    gx_error absent = {0}, folder = {0};
    check_failure("absent", gx_checkpoint_open(&checkpoint, scratch_path("absent.safetensors"), &absent), &absent, GX_ERROR_IO,
                  "absent.safetensors");
    scratch_write_text("folder/model.safetensors/x", "");
    check_failure("a folder", gx_checkpoint_open(&checkpoint, scratch_path("folder"), &folder), &folder, GX_ERROR_IO, "not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_file_is_indexed),
        cmocka_unit_test(rows_are_decoded),
        cmocka_unit_test(rows_outside_are_refused),
        cmocka_unit_test(defects_are_refused_for_their_reason),
        cmocka_unit_test(header_lengths_are_checked),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
