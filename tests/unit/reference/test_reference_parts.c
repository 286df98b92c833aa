/* The parts of the reference against the same formulas written naively in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reference/parts.h"

/* The same numbers on every machine: uniform in [-1, 1). */
static float next_number(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

static float *numbers(size_t count, uint32_t seed)
{
    float *out = gx_alloc(count, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++)
        out[i] = next_number(&seed);
    return out;
}

static void assert_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.9g, expected %.9g within %.3g", found, expected, tolerance);
}

/* ---- products ---- */

typedef struct product_case {
    size_t m, n, k;
} product_case;

static const product_case product_cases[] = {{1, 1, 1}, {1, 5, 7}, {3, 4, 8}, {2, 9, 17}, {5, 3, 33}, {7, 13, 64}, {130, 67, 31}};

static double naive(const gx_product *p, size_t row, size_t column, bool transposed)
{
    double sum = 0;
    for (size_t k = 0; k < p->k; k++)
        sum += (double)p->a[row * p->a_stride + k] * (double)(transposed ? p->b[column * p->b_stride + k] : p->b[k * p->b_stride + column]);
    return sum;
}

static void check_product(const product_case *c, bool transposed, gx_blas_sgemm sgemm)
{
    const size_t gap = 3; /* strides wider than rows; the gap must not be written */
    gx_product p = {.m = c->m, .n = c->n, .k = c->k, .a_stride = c->k + gap, .c_stride = c->n + gap};
    p.b_stride = (transposed ? c->k : c->n) + gap;
    float *a = numbers(p.m * p.a_stride, 1);
    float *b = numbers((transposed ? p.n : p.k) * p.b_stride, 2);
    float *out = numbers(p.m * p.c_stride, 3);
    p.a = a;
    p.b = b;
    p.c = out;
    for (size_t i = 0; i < p.m * p.c_stride; i++)
        out[i] = 77.0f;
    (transposed ? gx_product_rows : gx_product_columns)(sgemm, &p);
    for (size_t row = 0; row < p.m; row++)
        for (size_t column = 0; column < p.c_stride; column++)
            assert_near((double)out[row * p.c_stride + column], column < p.n ? naive(&p, row, column, transposed) : 77.0, 1e-5);
    gx_free(a);
    gx_free(b);
    gx_free(out);
}

static void test_plain_products(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof product_cases / sizeof *product_cases; i++) {
        check_product(&product_cases[i], true, NULL);
        check_product(&product_cases[i], false, NULL);
    }
}

static void test_blas_products(void **state)
{
    (void)state;
    const gx_blas_sgemm sgemm = gx_blas_find();
    if (!sgemm) {
        print_message("OpenBLAS is not installed: plain loops only\n");
        skip();
    }
    for (size_t i = 0; i < sizeof product_cases / sizeof *product_cases; i++) {
        check_product(&product_cases[i], true, sgemm);
        check_product(&product_cases[i], false, sgemm);
    }
}

static void test_blas_refuses_sizes_beyond_its_integers(void **state)
{
    (void)state;
    const gx_product p = {.m = 1, .n = (size_t)1 << 31, .k = 1};
    assert_false(gx_blas_run(gx_blas_find(), &p, true));
    assert_false(gx_blas_run(NULL, &(gx_product){.m = 1, .n = 1, .k = 1}, true));
}

/* ---- norm ---- */

static void test_norm(void **state)
{
    (void)state;
    enum { ROWS = 3, COLUMNS = 7 };
    float *x = numbers(ROWS * COLUMNS, 4);
    float *factor = numbers(COLUMNS, 5);
    float out[ROWS * COLUMNS];
    const double eps = 0.25; /* large, so that forgetting it shows */
    gx_norm_rows(x, ROWS, COLUMNS, factor, eps, out);
    for (size_t row = 0; row < ROWS; row++) {
        double squares = 0;
        for (size_t i = 0; i < COLUMNS; i++)
            squares += pow((double)x[row * COLUMNS + i], 2);
        for (size_t i = 0; i < COLUMNS; i++)
            assert_near((double)out[row * COLUMNS + i],
                        (double)x[row * COLUMNS + i] / sqrt(squares / COLUMNS + eps) * (double)factor[i], 1e-6);
    }
    gx_norm_rows(x, ROWS, COLUMNS, factor, eps, x);
    assert_memory_equal(x, out, sizeof out);
    gx_free(x);
    gx_free(factor);
}

/* Squares that overflow fp32 must not: a residual stream may reach 1e20. */
static void test_norm_of_large_values(void **state)
{
    (void)state;
    float x[4] = {1e30f, -1e30f, 1e30f, 1e30f};
    const float factor[4] = {1, 1, 1, 2};
    gx_norm_rows(x, 1, 4, factor, 1e-6, x);
    assert_near((double)x[1], -1, 1e-6);
    assert_near((double)x[3], 2, 1e-6);
}

/* ---- activation ---- */

static void test_activations(void **state)
{
    (void)state;
    const float points[] = {-11.0f, -3.0f, -2.7f, -0.5f, 0.0f, 0.25f, 1.0f, 2.7f, 9.0f};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        const double z = (double)points[i];
        const float up = 2.0f;
        float gate = points[i];
        gx_activation_gate(GX_ACTIVATION_GELU_TANH, &gate, &up, 1);
        assert_near((double)gate, z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z))), 2e-6);
        gate = points[i];
        gx_activation_gate(GX_ACTIVATION_GELU_ERF, &gate, &up, 1);
        assert_near((double)gate, z * (1 + erf(z / sqrt(2))), 2e-6);
    }
}

static void test_softcap(void **state)
{
    (void)state;
    float values[] = {-1000.0f, -5.0f, 0.0f, 12.0f};
    gx_softcap(values, 4, 10);
    assert_near((double)values[0], -10, 1e-6);
    assert_near((double)values[1], 10 * tanh(-0.5), 1e-6);
    assert_near((double)values[2], 0, 0);
    assert_near((double)values[3], 10 * tanh(1.2), 1e-6);
}

/* ---- rope ---- */

static double rotation_error(gx_rope_precision precision, size_t position)
{
    const uint32_t head_dim = 8;
    const gx_rope rope = {.theta = 1e4, .factor = 8, .rotated_part = 0.75, .head_dim = head_dim}; /* three pairs of four */
    gx_rope_table table = {.rope = rope};
    gx_error error = {0};
    double worst = 0;
    assert_int_equal(gx_rope_table_extend(&table, position + 1, precision, &error), GX_OK);
    float *x = numbers(2 * head_dim, 6);
    float *rotated = numbers(2 * head_dim, 6);
    gx_rope_rotate(&table, rotated, 2, position);
    for (uint32_t head = 0; head < 2; head++)
        for (uint32_t i = 0; i < head_dim / 2; i++) {
            const double angle = i < 3 ? (double)position * pow(rope.theta, -2.0 * i / head_dim) / rope.factor : 0;
            const double a = (double)x[head * head_dim + i];
            const double b = (double)x[head * head_dim + i + head_dim / 2];
            worst = fmax(worst, fabs((double)rotated[head * head_dim + i] - (a * cos(angle) - b * sin(angle))));
            worst = fmax(worst, fabs((double)rotated[head * head_dim + i + head_dim / 2] - (b * cos(angle) + a * sin(angle))));
        }
    gx_free(x);
    gx_free(rotated);
    gx_rope_table_deinit(&table);
    return worst;
}

static void test_rope(void **state)
{
    (void)state;
    const size_t positions[] = {0, 1, 999, 32767, 131071};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++)
        assert_true(rotation_error(GX_ROPE_DOUBLE, positions[i]) < 3e-7);
    assert_true(rotation_error(GX_ROPE_FLOAT, 100) < 1e-5);
    assert_true(rotation_error(GX_ROPE_FLOAT, 131071) > 1e-5); /* what it is there to reproduce */
}

static void test_rope_table_keeps_its_rows_when_it_grows(void **state)
{
    (void)state;
    gx_rope_table table = {.rope = {.theta = 100, .factor = 1, .rotated_part = 1, .head_dim = 2}};
    gx_error error = {0};
    assert_int_equal(gx_rope_table_extend(&table, 3, GX_ROPE_DOUBLE, &error), GX_OK);
    assert_int_equal(gx_rope_table_extend(&table, 4, GX_ROPE_DOUBLE, &error), GX_OK);
    assert_true(table.positions >= 4);
    for (size_t p = 0; p < table.positions; p++)
        assert_near((double)table.cosines[p], cos((double)p), 1e-7);
    gx_rope_table_deinit(&table);
}

/* ---- attention ---- */

static double naive_score(const gx_attention *a, const float *query, size_t key)
{
    double score = 0;
    for (size_t d = 0; d < a->head_dim; d++)
        score += (double)query[d] * (double)a->keys[key * a->key_stride + d];
    return score * a->scale;
}

static void naive_attention(const gx_attention *a, const float *queries, size_t row, double *out)
{
    double sum = 0;
    memset(out, 0, a->head_dim * sizeof *out);
    for (size_t key = 0; key <= a->past + row; key++) {
        if (a->sliding_window && a->past + row - key >= a->sliding_window)
            continue;
        const double weight = exp(naive_score(a, queries + row * a->query_stride, key));
        sum += weight;
        for (size_t d = 0; d < a->head_dim; d++)
            out[d] += weight * (double)a->values[key * a->key_stride + d];
    }
    for (size_t d = 0; d < a->head_dim; d++)
        out[d] /= sum;
}

typedef struct attention_case {
    size_t past, rows;
    uint64_t window;
} attention_case;

static void check_attention(const attention_case *c, gx_blas_sgemm sgemm)
{
    enum { HEAD_DIM = 12, QUERY_STRIDE = 29, KEY_STRIDE = 15 };
    const size_t keys = c->past + c->rows;
    float *queries = numbers(c->rows * QUERY_STRIDE, 7);
    float *original = numbers(c->rows * QUERY_STRIDE, 7);
    float *k = numbers(keys * KEY_STRIDE, 8);
    float *v = numbers(keys * KEY_STRIDE, 9);
    float *scores = numbers(GX_ATTENTION_BLOCK * keys, 10);
    const gx_attention a = {.queries = queries, .query_stride = QUERY_STRIDE, .rows = c->rows, .past = c->past, .keys = k, .values = v,
                            .key_stride = KEY_STRIDE, .head_dim = HEAD_DIM, .sliding_window = c->window, .scale = 1.5};
    gx_attention_head(sgemm, &a, scores);
    for (size_t row = 0; row < c->rows; row++) {
        double expected[HEAD_DIM];
        naive_attention(&a, original, row, expected);
        for (size_t d = 0; d < HEAD_DIM; d++)
            assert_near((double)queries[row * QUERY_STRIDE + d], expected[d], 3e-6);
        assert_memory_equal(queries + row * QUERY_STRIDE + HEAD_DIM, original + row * QUERY_STRIDE + HEAD_DIM,
                            (QUERY_STRIDE - HEAD_DIM) * sizeof *queries);
    }
    gx_free(queries);
    gx_free(original);
    gx_free(k);
    gx_free(v);
    gx_free(scores);
}

static void test_attention(void **state)
{
    (void)state;
    const attention_case cases[] = {{0, 1, 0},   {0, 1, 1},   {0, 70, 0},    {5, 1, 0},    {5, 1, 3},   {9, 3, 4},
                                    {0, 130, 1}, {0, 130, 7}, {40, 130, 64}, {3, 66, 128}, {0, 64, 64}, {1, 64, 64}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_attention(&cases[i], NULL);
        check_attention(&cases[i], gx_blas_find());
    }
}

/* exp overflows without the subtraction of the largest. */
static void test_attention_with_large_scores(void **state)
{
    (void)state;
    float query[1] = {100.0f};
    const float keys[2] = {10.0f, 10.0f};
    const float values[2] = {1.0f, 3.0f};
    float scores[GX_ATTENTION_BLOCK * 2];
    gx_attention_head(NULL, &(gx_attention){.queries = query, .query_stride = 1, .rows = 1, .past = 1, .keys = keys, .values = values,
                                            .key_stride = 1, .head_dim = 1, .scale = 1}, scores);
    assert_near((double)query[0], 2, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_products),
        cmocka_unit_test(test_blas_products),
        cmocka_unit_test(test_blas_refuses_sizes_beyond_its_integers),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_norm_of_large_values),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_softcap),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_rope_table_keeps_its_rows_when_it_grows),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_with_large_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
