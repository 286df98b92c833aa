/* Do sessions open, tell what they hold, compute, and refuse what is wrong with a word on why? */
#include "runtime_support.h"

static const int64_t x_dims[2] = {2, 3};
static float x_data[6] = {1, 0, 0, 1, 1, 1};
static const float y_expected[4] = {11, 22, 19, 32}; /* x W + (10, 20), W = 1 2 | 3 4 | 5 6 */

static gx_ort_tensor *wrap_x(void)
{
    gx_ort_tensor *x = NULL;
    assert_ok(gx_ort_tensor_wrap(&x, runtime, GX_DTYPE_F32, 2, x_dims, x_data, sizeof x_data, error));
    return x;
}

static gx_status run_affine(gx_session *session, const char *input, gx_ort_tensor *x, const char *output, gx_ort_tensor **y,
                            gx_error *error)
{
    const gx_session_run_io io = {&input, &x, 1, &output, y, 1};
    return gx_session_run(session, &io, error);
}

static void assert_computes(gx_session *session)
{
    gx_ort_tensor *x = wrap_x(), *y = NULL;
    gx_ort_view view;
    assert_ok(run_affine(session, "x", x, "y", &y, error));
    assert_ok(gx_ort_tensor_describe(&view, runtime, y, error));
    assert_int_equal(view.dtype, GX_DTYPE_F32);
    assert_int_equal(view.rank, 2);
    assert_int_equal(view.dims[0], 2);
    assert_int_equal(view.dims[1], 2);
    assert_int_equal(view.elements, 4);
    assert_memory_equal(view.data, y_expected, sizeof y_expected);
    gx_ort_tensor_free(runtime, x);
    gx_ort_tensor_free(runtime, y);
}

static void tells_what_a_model_holds(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = open_session(MODELS "decoder.onnx");
    assert_string_equal(gx_session_name(session), MODELS "decoder.onnx");
    assert_int_equal(gx_session_input_count(session), 5);
    assert_int_equal(gx_session_output_count(session), 3);
    assert_string_equal(gx_session_input(session, 0)->name, "input_ids");
    assert_int_equal(gx_session_input(session, 0)->dtype, GX_DTYPE_I64);
    assert_string_equal(gx_session_output(session, 0)->name, "logits");
    const gx_session_value *past = gx_session_find_input(session, "past_key_values.0.value");
    assert_non_null(past);
    assert_int_equal(past->dtype, GX_DTYPE_F32);
    assert_int_equal(past->rank, 4);
    assert_int_equal(past->dims[0], -1);
    assert_int_equal(past->dims[1], 1);
    assert_int_equal(past->dims[2], -1);
    assert_int_equal(past->dims[3], 16);
    assert_string_equal(past->symbols[0], "batch_size");
    assert_string_equal(past->symbols[1], "");
    assert_string_equal(past->symbols[2], "past_sequence_length");
    assert_null(gx_session_find_input(session, "logits"));
    assert_non_null(gx_session_find_output(session, "present.0.key"));
    assert_string_equal(gx_session_metadata(session, "gemma_onnx.shared_cache"), "1");
    assert_null(gx_session_metadata(session, "colour"));
    gx_session_close(session);
}

static void loads_without_a_warning(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    static const char *const models[] = {"affine", "affine_external", "decoder", "decoder_last", "decoder_fp16"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[128];
        snprintf(path, sizeof path, MODELS "%s.onnx", models[i]);
        gx_session *session = open_session(path);
        assert_string_equal(gx_session_first_warning(session), "");
        assert_int_equal(gx_session_warning_count(session), 0);
        gx_session_close(session);
    }
}

static void counts_warnings(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = open_session(MODELS "affine_unused.onnx");
    assert_int_equal(gx_session_warning_count(session), 1);
    assert_non_null(strstr(gx_session_first_warning(session), "unused"));
    assert_computes(session);
    gx_session_close(session);
}

static void opens_external_data_beside_the_file(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = open_session(MODELS "affine_external.onnx");
    assert_string_equal(gx_session_metadata(session, "colour"), "blue");
    assert_computes(session);
    gx_session_close(session);
}

static void opens_bytes_with_a_folder(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_arena *arena = gx_arena_new();
    gx_session *session = NULL;
    const gx_session_options options = one_thread();
    char *bytes = NULL;
    size_t nbytes = 0;
    assert_non_null(arena);
    assert_ok(gx_file_read_all(arena, MODELS "affine_external.onnx", 1 << 20, &bytes, &nbytes, error));
    assert_fails(gx_session_open_bytes(&session, runtime, "edited", bytes, nbytes, "tests", &options, error), GX_ERROR_FORMAT, "edited");
    assert_ok(gx_session_open_bytes(&session, runtime, "edited", bytes, nbytes, MODELS, &options, error));
    assert_string_equal(gx_session_name(session), "edited");
    memset(bytes, 0, nbytes); /* need not outlive the call */
    assert_computes(session);
    gx_session_close(session);
    gx_arena_free(arena);
}

static void writes_into_the_callers_memory(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = open_session(MODELS "affine.onnx");
    float result[4] = {0};
    const int64_t dims[2] = {2, 2};
    gx_ort_tensor *x = wrap_x(), *y = NULL;
    assert_ok(gx_ort_tensor_wrap(&y, runtime, GX_DTYPE_F32, 2, dims, result, sizeof result, error));
    gx_ort_tensor *bound = y;
    assert_ok(run_affine(session, "x", x, "y", &bound, error));
    assert_ptr_equal(bound, y);
    assert_memory_equal(result, y_expected, sizeof y_expected);
    gx_ort_tensor_free(runtime, x);
    gx_ort_tensor_free(runtime, y);
    gx_session_close(session);
}

static void takes_options_and_entries(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    static const gx_session_entry entries[] = {{"session.disable_prepacking", "1"}, {"session.set_denormal_as_zero", "1"}};
    gx_session_options options;
    gx_session_options_default(&options);
    options.threads = 2;
    options.spinning = false;
    options.entries = entries;
    options.entry_count = 2;
    for (int level = GX_SESSION_OPTIMIZE_NONE; level <= GX_SESSION_OPTIMIZE_ALL; level++) {
        gx_session *session = NULL;
        options.optimization = (gx_session_optimization)level;
        assert_ok(gx_session_open(&session, runtime, MODELS "affine.onnx", &options, error));
        assert_computes(session);
        gx_session_close(session);
    }
}

static void refuses_what_is_no_model(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = NULL;
    const gx_session_options options = one_thread();
    assert_fails(gx_session_open(&session, runtime, MODELS "nowhere.onnx", &options, error), GX_ERROR_IO, "nowhere.onnx");
    assert_fails(gx_session_open(&session, runtime, MODELS "expected.json", &options, error), GX_ERROR_FORMAT, "expected.json");
    assert_fails(gx_session_open(&session, runtime, "tests", &options, error), GX_ERROR_IO, "tests");
    assert_fails(gx_session_open_bytes(&session, runtime, "empty", "", 0, NULL, &options, error), GX_ERROR_FORMAT, "empty");
    assert_null(session);
}

/* Every prefix of a real model: an error or, where the rest happened to be optional, a session; never worse. */
static void survives_truncated_models(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_arena *arena = gx_arena_new();
    const gx_session_options options = one_thread();
    char *bytes = NULL;
    size_t nbytes = 0, refused = 0;
    assert_non_null(arena);
    assert_ok(gx_file_read_all(arena, MODELS "affine.onnx", 1 << 20, &bytes, &nbytes, error));
    for (size_t length = 1; length < nbytes; length += 7) {
        gx_session *session = NULL;
        gx_error error = {0};
        refused += gx_session_open_bytes(&session, runtime, "cut", bytes, length, NULL, &options, &error) != GX_OK;
        gx_session_close(session);
    }
    assert_true(refused > nbytes / 7 / 2);
    gx_arena_free(arena);
}

static void refuses_wrong_inputs(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = open_session(MODELS "affine.onnx");
    const int64_t wrong_dims[2] = {3, 2};
    int32_t integers[6] = {0};
    gx_ort_tensor *x = wrap_x(), *y = NULL, *turned = NULL, *integer = NULL;
    assert_ok(gx_ort_tensor_wrap(&turned, runtime, GX_DTYPE_F32, 2, wrong_dims, x_data, sizeof x_data, error));
    assert_ok(gx_ort_tensor_wrap(&integer, runtime, GX_DTYPE_I32, 2, x_dims, integers, sizeof integers, error));
    assert_fails(run_affine(session, "z", x, "y", &y, error), GX_ERROR_ARGUMENT, "z");
    assert_fails(run_affine(session, "x", x, "z", &y, error), GX_ERROR_ARGUMENT, "z");
    assert_fails(run_affine(session, "x", turned, "y", &y, error), GX_ERROR_ARGUMENT, "affine.onnx");
    assert_fails(run_affine(session, "x", integer, "y", &y, error), GX_ERROR_ARGUMENT, "float");
    assert_null(y);
    gx_ort_tensor_free(runtime, x);
    gx_ort_tensor_free(runtime, turned);
    gx_ort_tensor_free(runtime, integer);
    gx_session_close(session);
}

static void refuses_impossible_tensors(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_ort_tensor *none = NULL;
    const int64_t negative[2] = {2, -3}, huge[2] = {INT64_MAX, INT64_MAX}, many[GX_ORT_MAX_RANK + 1] = {0};
    assert_fails(gx_ort_tensor_wrap(&none, runtime, GX_DTYPE_F32, 2, x_dims, x_data, 20, error), GX_ERROR_ARGUMENT, "needs 24");
    assert_fails(gx_ort_tensor_wrap(&none, runtime, GX_DTYPE_F32, 2, negative, x_data, 24, error), GX_ERROR_ARGUMENT, "-3");
    assert_fails(gx_ort_tensor_new(&none, runtime, GX_DTYPE_F32, 2, huge, error), GX_ERROR_ARGUMENT, "overflows");
    assert_fails(gx_ort_tensor_new(&none, runtime, GX_DTYPE_F32, GX_ORT_MAX_RANK + 1, many, error), GX_ERROR_ARGUMENT, "rank 9");
    assert_fails(gx_ort_tensor_new(&none, runtime, GX_DTYPE_Q4_K, 2, x_dims, error), GX_ERROR_ARGUMENT, "Q4_K");
    assert_null(none);
}

static void survives_a_full_memory(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    const gx_session_options options = one_thread();
    for (uint64_t n = 1; n < 200; n++) {
        gx_session *session = NULL;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        const gx_status status = gx_session_open(&session, runtime, MODELS "affine.onnx", &options, &error);
        gx_alloc_fail_after(0);
        if (status == GX_OK) {
            gx_session_close(session);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(status, GX_ERROR_MEMORY);
        assert_null(session);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_a_model_holds),  cmocka_unit_test(loads_without_a_warning),
        cmocka_unit_test(counts_warnings),           cmocka_unit_test(opens_external_data_beside_the_file),
        cmocka_unit_test(opens_bytes_with_a_folder), cmocka_unit_test(writes_into_the_callers_memory),
        cmocka_unit_test(takes_options_and_entries), cmocka_unit_test(refuses_what_is_no_model),
        cmocka_unit_test(survives_truncated_models), cmocka_unit_test(refuses_wrong_inputs),
        cmocka_unit_test(refuses_impossible_tensors), cmocka_unit_test(survives_a_full_memory),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
