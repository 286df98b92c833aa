/* The dtype table: one row per type, names and numbers both ways, row sizes; and every half. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/dtype.h"
#include "tensor/half.h"

static void table_is_whole(void **state)
{
    (void)state;
    for (int i = 0; i < GX_DTYPE_COUNT; i++) {
        const gx_dtype_info *info = gx_dtype_get((gx_dtype)i);
        assert_non_null(info->name);
        assert_true(info->block_elements > 0 && info->block_nbytes > 0);
        assert_true(info->safetensors_name || info->ggml_type >= 0 || info->onnx_type);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(info->name, gx_dtype_get((gx_dtype)k)->name);
    }
}

static void names_and_numbers_lead_back(void **state)
{
    (void)state;
    for (int i = 0; i < GX_DTYPE_COUNT; i++) {
        const gx_dtype_info *info = gx_dtype_get((gx_dtype)i);
        gx_dtype found = GX_DTYPE_COUNT;
        if (info->safetensors_name) {
            assert_true(gx_dtype_from_safetensors(info->safetensors_name, &found));
            assert_int_equal(found, i);
        }
        if (info->ggml_type >= 0) {
            assert_true(gx_dtype_from_ggml((uint32_t)info->ggml_type, &found));
            assert_int_equal(found, i);
        }
    }
}

static void unknown_types(void **state)
{
    (void)state;
    static const char *const names[] = {"", "f32", "F3", "F32 ", "Q4_0", "C64"};
    static const uint32_t numbers[] = {4, 5, 9, 15, 31, 1000, UINT32_MAX};
    gx_dtype found = GX_DTYPE_I8;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(gx_dtype_from_safetensors(names[i], &found));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_false(gx_dtype_from_ggml(numbers[i], &found));
    assert_int_equal(found, GX_DTYPE_I8); /* untouched */
}

static void row_sizes(void **state)
{
    (void)state;
    static const struct {
        gx_dtype dtype;
        uint64_t elements, nbytes; /* UINT64_MAX: refused */
    } rows[] = {
        {GX_DTYPE_F32, 0, 0},
        {GX_DTYPE_F32, 3, 12},
        {GX_DTYPE_BF16, 640, 1280},
        {GX_DTYPE_F32, UINT64_MAX / 4 + 1, UINT64_MAX},
        {GX_DTYPE_Q4_0, 640, 360},
        {GX_DTYPE_Q4_0, 641, UINT64_MAX},
        {GX_DTYPE_Q4_0, 1, UINT64_MAX},
        {GX_DTYPE_Q8_0, 32, 34},
        {GX_DTYPE_Q8_0, UINT64_MAX - 31, UINT64_MAX},
        {GX_DTYPE_Q4_K, 2048, 1152},
        {GX_DTYPE_Q4_K, 640, UINT64_MAX},
        {GX_DTYPE_Q6_K, 256, 210},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t nbytes = 77;
        const bool fine = gx_dtype_row_nbytes(rows[i].dtype, rows[i].elements, &nbytes);
        assert_int_equal(fine, rows[i].nbytes != UINT64_MAX);
        assert_int_equal(nbytes, fine ? rows[i].nbytes : 77);
    }
}

/* By the definition: (-1)^s · 2^(e - 15) · 1.m, and 0.m · 2^-14 for subnormals. */
static float half_by_definition(unsigned half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const float magnitude = exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(1024 + fraction), exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static void every_finite_half(void **state)
{
    (void)state;
    static uint16_t halves[1 << 16];
    static float values[1 << 16];
    for (unsigned i = 0; i < 1 << 16; i++)
        halves[i] = (uint16_t)i;
    gx_dtype_get(GX_DTYPE_F16)->decode(halves, values, 1 << 16);
    for (unsigned i = 0; i < 1 << 16; i++) {
        const float alone = gx_half_to_float((uint16_t)i);
        assert_memory_equal(&alone, &values[i], sizeof alone);
        if ((i & 0x7c00) == 0x7c00)
            continue;
        const float expected = half_by_definition(i);
        assert_memory_equal(&values[i], &expected, sizeof expected);
    }
}

/* Infinities stay, a NaN keeps its sign and payload. */
static void halves_that_are_no_numbers(void **state)
{
    (void)state;
    for (unsigned i = 0x7c00; i < 1 << 16; i++) {
        if ((i & 0x7c00) != 0x7c00)
            continue;
        const float value = gx_half_to_float((uint16_t)i);
        const uint32_t expected = (i & 0x8000) << 16 | 0x7f800000u | (i & 1023) << 13;
        assert_memory_equal(&value, &expected, sizeof expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole),
        cmocka_unit_test(names_and_numbers_lead_back),
        cmocka_unit_test(unknown_types),
        cmocka_unit_test(row_sizes),
        cmocka_unit_test(every_finite_half),
        cmocka_unit_test(halves_that_are_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
