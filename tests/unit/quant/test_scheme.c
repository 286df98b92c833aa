/* Sizes, layout, errors and independence of rows of every scheme; the same bytes from every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "quant/scheme.h"

#define ROWS 21
#define COLUMNS 640
#define MOST_NBYTES (ROWS * 1024 * sizeof(float))
#define GUARD 0x5a

static const gx_scheme schemes[] = {
    {.kind = GX_SCHEME_FLOAT, .dtype = GX_DTYPE_F32},
    {.kind = GX_SCHEME_FLOAT, .dtype = GX_DTYPE_F16},
    {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32},
    {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32, .transposed = true},
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F32, .bits = 4, .block_size = 16, .zero_points = true},
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 32, .zero_points = true},
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 128, .zero_points = true},
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F32, .bits = 4, .block_size = 64},
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 8, .block_size = 128},
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F32, .bits = 8, .block_size = 256, .zero_points = true},
};
#define SCHEMES (sizeof schemes / sizeof *schemes)

/* The root mean square error, as a share of the values', on numbers like these: what was measured, and three per cent. */
static const double ceilings[SCHEMES] = {0, 2.4e-4, 0.0072, 0.0072, 0.067, 0.078, 0.093, 0.089, 0.0063, 0.0065};

static float numbers[ROWS * COLUMNS], importance[COLUMNS];

static int make_numbers(void **state)
{
    (void)state;
    uint32_t random_state = 7;
    for (size_t i = 0; i < ROWS * COLUMNS; i++) {
        float sum = 0;
        for (int k = 0; k < 6; k++) {
            random_state = random_state * 1664525u + 1013904223u;
            sum += (float)(random_state >> 8) * 0x1p-24f - 0.5f;
        }
        numbers[i] = sum * 0.03f;
    }
    for (size_t i = 0; i < COLUMNS; i++)
        importance[i] = 0.1f + (float)(i % 13);
    return 0;
}

typedef struct encoded {
    _Alignas(16) uint8_t parts[GX_PART_COUNT][MOST_NBYTES + 16];
} encoded;

static gx_status encode(const gx_scheme *scheme, const float *in, uint64_t rows, uint64_t columns, const float *weights, encoded *out,
                        gx_error *error)
{
    memset(out, GUARD, sizeof *out);
    void *const parts[GX_PART_COUNT] = {out->parts[0], out->parts[1], out->parts[2]};
    void *scratch = malloc(gx_scheme_scratch_nbytes(scheme, columns) + 1); /* exact, so that a sanitizer sees one byte too many */
    const gx_status status = gx_scheme_encode_weighted(scheme, in, rows, columns, weights, parts, scratch, error);
    free(scratch);
    return status;
}

static void decode(const gx_scheme *scheme, const encoded *in, uint64_t rows, uint64_t columns, float *out)
{
    const void *const parts[GX_PART_COUNT] = {in->parts[0], in->parts[1], in->parts[2]};
    gx_scheme_decode(scheme, parts, rows, columns, out);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        size_t scheme;
        uint64_t columns, nbytes[GX_PART_COUNT];
    } cases[] = {
        {0, 5, {20, 0, 0}},      {1, 5, {10, 0, 0}},     {2, 5, {5, 4, 0}},        {3, 640, {640, 4, 0}},    {4, 640, {320, 160, 20}},
        {4, 24, {16, 8, 1}},     {5, 640, {320, 40, 10}}, {6, 640, {320, 10, 3}},   {6, 1, {64, 2, 1}},       {7, 640, {320, 40, 0}},
        {8, 640, {640, 10, 0}},  {8, 1024, {1024, 16, 0}}, {9, 640, {768, 12, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int part = 0; part < GX_PART_COUNT; part++)
            assert_int_equal(gx_scheme_part_row_nbytes(&schemes[cases[i].scheme], (gx_part)part, cases[i].columns), cases[i].nbytes[part]);
}

static void errors_are_small_and_nothing_is_overrun(void **state)
{
    (void)state;
    static encoded e;
    static float back[ROWS * COLUMNS];
    static const uint64_t widths[] = {COLUMNS, 600, 33, 1};
    for (size_t s = 0; s < SCHEMES; s++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            const uint64_t columns = widths[w];
            assert_int_equal(encode(&schemes[s], numbers, ROWS, columns, NULL, &e, NULL), GX_OK);
            for (int part = 0; part < GX_PART_COUNT; part++)
                assert_int_equal(e.parts[part][ROWS * gx_scheme_part_row_nbytes(&schemes[s], (gx_part)part, columns)], GUARD);
            decode(&schemes[s], &e, ROWS, columns, back);
            double error = 0, power = 0;
            for (size_t i = 0; i < ROWS * columns; i++) {
                error += pow((double)back[i] - (double)numbers[i], 2);
                power += pow((double)numbers[i], 2);
            }
            assert_true(sqrt(error / power) <= ceilings[s]);
        }
}

static void every_set_gives_the_same_bytes(void **state)
{
    (void)state;
    static encoded a, b;
    for (size_t s = 0; s < SCHEMES; s++)
        for (int weighted = 0; weighted < 2; weighted++) {
            gx_kernels_select(gx_kernels_find("c"));
            assert_int_equal(encode(&schemes[s], numbers, ROWS, COLUMNS, weighted ? importance : NULL, &a, NULL), GX_OK);
            gx_kernels_select(NULL);
            assert_int_equal(encode(&schemes[s], numbers, ROWS, COLUMNS, weighted ? importance : NULL, &b, NULL), GX_OK);
            assert_memory_equal(&a, &b, sizeof a);
        }
}

/* However a caller cuts a matrix into runs of rows. */
static void rows_are_independent(void **state)
{
    (void)state;
    static encoded all, one;
    static const uint64_t widths[] = {COLUMNS, 600, 33};
    for (size_t s = 0; s < SCHEMES; s++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            assert_int_equal(encode(&schemes[s], numbers, ROWS, widths[w], importance, &all, NULL), GX_OK);
            for (uint64_t row = 0; row < ROWS; row++) {
                assert_int_equal(encode(&schemes[s], numbers + row * widths[w], 1, widths[w], importance, &one, NULL), GX_OK);
                for (int part = 0; part < GX_PART_COUNT; part++) {
                    const uint64_t nbytes = gx_scheme_part_row_nbytes(&schemes[s], (gx_part)part, widths[w]);
                    assert_memory_equal(one.parts[part], all.parts[part] + row * nbytes, nbytes);
                }
            }
        }
}

/* The packing by hand: 40 columns in blocks of 16 make three blocks, the last half empty. */
static void blocks_are_packed_as_matmulnbits_reads_them(void **state)
{
    (void)state;
    static encoded e;
    const gx_scheme scheme = {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F32, .bits = 4, .block_size = 16, .zero_points = true};
    float in[40];
    for (int i = 0; i < 40; i++)
        in[i] = (float)(i % 16 - (i < 16 ? 3 : i < 32 ? 12 : 0)) * (i < 16 ? 1.0f : 0.5f);
    in[39] = 7.5f; /* the last block: 0 … 3 and 15 halves */
    assert_int_equal(encode(&scheme, in, 1, 40, NULL, &e, NULL), GX_OK);
    static const uint8_t values[24] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe,
                                       0x10, 0x32, 0x54, 0xf6, 0x00, 0x00, 0x00, 0x00};
    assert_memory_equal(e.parts[GX_PART_VALUES], values, sizeof values);
    static const float scales[3] = {1, 0.5f, 0.5f};
    for (int i = 0; i < 3; i++)
        assert_true(fabsf(((const float *)(const void *)e.parts[GX_PART_SCALES])[i] - scales[i]) < 1e-6f);
    static const uint8_t zero_points[2] = {0xc3, 0x00};
    assert_memory_equal(e.parts[GX_PART_ZERO_POINTS], zero_points, sizeof zero_points);
}

static void bytes_of_rows_are_signed(void **state)
{
    (void)state;
    static encoded e;
    const float in[4] = {-2, 0, 1, 2};
    static const int8_t bytes[4] = {-127, 0, 64, 127};
    for (int transposed = 0; transposed < 2; transposed++) { /* the writer turns them, not the encoder */
        assert_int_equal(encode(&schemes[2 + transposed], in, 1, 4, NULL, &e, NULL), GX_OK);
        assert_memory_equal(e.parts[GX_PART_VALUES], bytes, 4);
        assert_true(*(const float *)(const void *)e.parts[GX_PART_SCALES] == 2.0f / 127);
    }
}

static void what_no_scheme_can_hold(void **state)
{
    (void)state;
    static encoded e;
    static const struct {
        float value;
        const char *said;
    } cases[] = {{NAN, "nan"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    for (size_t s = 1; s < SCHEMES; s++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            float in[3 * 40] = {0};
            in[2 * 40 + 37] = cases[i].value;
            gx_error error = {0};
            assert_int_equal(encode(&schemes[s], in, 3, 40, NULL, &e, &error), GX_ERROR_UNSUPPORTED);
            assert_non_null(strstr(error.message, "row 2, column 37"));
            assert_non_null(strstr(error.message, cases[i].said));
        }
}

static void what_fp16_cannot_hold(void **state)
{
    (void)state;
    static encoded e;
    float in[3 * 64] = {0};
    in[64 + 33] = 70000;
    gx_error error = {0};
    assert_int_equal(encode(&schemes[1], in, 3, 64, NULL, &e, &error), GX_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "row 1, column 33"));
    in[64 + 33] = 5e6f; /* the value is no trouble in a block, its scale is */
    const gx_scheme *block = &schemes[5];
    error = (gx_error){0};
    assert_int_equal(encode(block, in, 3, 64, NULL, &e, &error), GX_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "row 1, column 32"));
    assert_non_null(strstr(error.message, "F16"));
    in[64 + 33] = 70000;
    assert_int_equal(encode(block, in, 3, 64, NULL, &e, NULL), GX_OK);
}

static void names(void **state)
{
    (void)state;
    char name[64];
    gx_scheme_name(&schemes[5], name, sizeof name);
    assert_string_equal(name, "int4, blocks of 32, zero points");
    gx_scheme_name(&schemes[8], name, sizeof name);
    assert_string_equal(name, "int8, blocks of 128");
    gx_scheme_name(&schemes[3], name, sizeof name);
    assert_string_equal(name, "int8, one scale a row, transposed");
    gx_scheme_name(&schemes[1], name, sizeof name);
    assert_string_equal(name, "fp16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(errors_are_small_and_nothing_is_overrun),
        cmocka_unit_test(every_set_gives_the_same_bytes),
        cmocka_unit_test(rows_are_independent),
        cmocka_unit_test(blocks_are_packed_as_matmulnbits_reads_them),
        cmocka_unit_test(bytes_of_rows_are_signed),
        cmocka_unit_test(what_no_scheme_can_hold),
        cmocka_unit_test(what_fp16_cannot_hold),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, make_numbers, NULL);
}
