/* Is ONNX Runtime found where it is said to be, and is the way out told where it is not? */
#include "runtime_support.h"

#define WAY_OUT "pip install"

static void names_its_version(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    unsigned major = 0, minor = 0;
    assert_int_equal(sscanf(gx_runtime_version(runtime), "%u.%u", &major, &minor), 2);
    assert_true(major > 1 || minor >= 24);
    assert_non_null(strstr(gx_runtime_path(runtime), "libonnxruntime.so"));
}

static void takes_the_place_it_is_given(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_runtime *again = NULL;
    assert_ok(gx_runtime_open(&again, gx_runtime_path(runtime), error));
    assert_string_equal(gx_runtime_path(again), gx_runtime_path(runtime));
    assert_string_equal(gx_runtime_version(again), gx_runtime_version(runtime));
    gx_runtime_close(again);
}

static void takes_the_environment(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_runtime *again = NULL;
    char *before = getenv("GEMMA_ONNX_ORT_LIBRARY");
    before = before ? strdup(before) : NULL;
    assert_int_equal(setenv("GEMMA_ONNX_ORT_LIBRARY", "/nowhere/libonnxruntime.so", 1), 0);
    assert_fails(gx_runtime_open(&again, NULL, error), GX_ERROR_UNSUPPORTED, "/nowhere/libonnxruntime.so");
    assert_int_equal(setenv("GEMMA_ONNX_ORT_LIBRARY", gx_runtime_path(runtime), 1), 0);
    assert_ok(gx_runtime_open(&again, NULL, error));
    assert_string_equal(gx_runtime_path(again), gx_runtime_path(runtime));
    gx_runtime_close(again);
    if (before)
        setenv("GEMMA_ONNX_ORT_LIBRARY", before, 1);
    else
        unsetenv("GEMMA_ONNX_ORT_LIBRARY");
    free(before);
}

static void tells_the_way_out(void **state)
{
    (void)state;
    gx_runtime *none = NULL;
    assert_fails(gx_runtime_open(&none, "/nowhere/libonnxruntime.so.1", error), GX_ERROR_UNSUPPORTED, WAY_OUT);
    assert_fails(gx_runtime_open(&none, MODELS "expected.json", error), GX_ERROR_UNSUPPORTED, WAY_OUT);
    assert_fails(gx_runtime_open(&none, "libm.so.6", error), GX_ERROR_UNSUPPORTED, "OrtGetApiBase");
    assert_fails(gx_runtime_open(&none, MODELS, error), GX_ERROR_UNSUPPORTED, "no libonnxruntime.so in this folder");
    assert_null(none);
}

static void survives_a_full_memory(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    for (uint64_t n = 1; n < 100; n++) {
        gx_runtime *again = NULL;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        const gx_status status = gx_runtime_open(&again, gx_runtime_path(runtime), &error);
        gx_alloc_fail_after(0);
        if (status == GX_OK) {
            gx_runtime_close(again);
            assert_true(n > 2);
            return;
        }
        assert_int_equal(status, GX_ERROR_MEMORY);
        assert_null(again);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_its_version), cmocka_unit_test(takes_the_place_it_is_given), cmocka_unit_test(takes_the_environment),
        cmocka_unit_test(tells_the_way_out), cmocka_unit_test(survives_a_full_memory),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
