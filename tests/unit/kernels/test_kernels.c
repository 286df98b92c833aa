/* Do all instruction sets give the bytes of the scalar truth, for every block size, count and kind of value? And does the
 * truth do what it says? */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "tensor/half.h"

#define MOST_BLOCKS 19
#define LARGEST 256
#define GUARD 0xa5

static const gx_kernels *truth, *fast;

static uint32_t random_state = 1;

static float uniform(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) * 0x1p-24f - 0.5f;
}

/* Blocks of weights, and among them zeros, single outliers, one sign only, denormals, huge values, halves of a step. */
static void fill(float *out, size_t blocks, unsigned size)
{
    for (size_t b = 0; b < blocks; b++) {
        float *x = out + b * size;
        for (unsigned i = 0; i < size; i++)
            x[i] = (uniform() + uniform() + uniform()) * 0.05f;
        switch (b % 9) {
        case 1: memset(x, 0, size * sizeof *x); break;
        case 2: x[size / 2] = 3; break;
        case 3:
            for (unsigned i = 0; i < size; i++)
                x[i] = fabsf(x[i]);
            break;
        case 4:
            for (unsigned i = 0; i < size; i++)
                x[i] = -fabsf(x[i]) - 1;
            break;
        case 5:
            for (unsigned i = 0; i < size; i++)
                x[i] *= 1e-41f;
            break;
        case 6:
            for (unsigned i = 0; i < size; i++)
                x[i] *= 3e38f;
            break;
        case 7:
            for (unsigned i = 0; i < size; i++)
                x[i] = (float)((int)i % 16 - 8) * 0.5f;
            break;
        default: break;
        }
    }
}

static float numbers[MOST_BLOCKS * LARGEST], importance[MOST_BLOCKS * LARGEST];

static void fill_importance(void)
{
    for (size_t i = 0; i < sizeof importance / sizeof *importance; i++)
        importance[i] = 0.01f + (uniform() + 0.5f) * (i % 11 == 0 ? 100 : 1);
}

typedef struct encoded {
    float scales[MOST_BLOCKS + 1];
    uint8_t zero_points[MOST_BLOCKS + 1], codes[MOST_BLOCKS * LARGEST + 1];
} encoded;

static void encode(const gx_kernels *k, const gx_search *how, const float *in, size_t blocks, encoded *out)
{
    memset(out, GUARD, sizeof *out);
    k->search(how, in, blocks, out->scales, out->zero_points);
    k->round(in, blocks, how->size, how->top, out->scales, out->zero_points, out->codes);
}

static void searches_agree(void **state)
{
    (void)state;
    static const unsigned sizes[] = {16, 32, 64, 128, 256};
    static encoded a, b;
    fill_importance();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t blocks = 1; blocks <= MOST_BLOCKS; blocks++)
            for (int variant = 0; variant < 8; variant++) {
                const gx_search how = {.size = sizes[s],
                                       .top = variant & 1 ? 255 : 15,
                                       .zero_points = variant & 2,
                                       .importance = variant & 4 ? importance : NULL,
                                       .importance_blocks = 1 + blocks % 5};
                fill(numbers, blocks, how.size);
                encode(truth, &how, numbers, blocks, &a);
                encode(fast, &how, numbers, blocks, &b);
                assert_memory_equal(&a, &b, sizeof a);
                assert_int_equal(b.zero_points[blocks], GUARD);
                assert_int_equal(b.codes[blocks * how.size], GUARD);
            }
}

/* A block's bytes do not depend on the blocks beside it. */
static void blocks_are_independent(void **state)
{
    (void)state;
    const gx_search how = {.size = 32, .top = 15, .zero_points = true};
    static encoded all, one;
    fill(numbers, MOST_BLOCKS, how.size);
    encode(fast, &how, numbers, MOST_BLOCKS, &all);
    for (size_t b = 0; b < MOST_BLOCKS; b++) {
        encode(fast, &how, numbers + b * how.size, 1, &one);
        assert_memory_equal(&one.scales[0], &all.scales[b], sizeof(float));
        assert_int_equal(one.zero_points[0], all.zero_points[b]);
        assert_memory_equal(one.codes, all.codes + b * how.size, how.size);
    }
}

static double squared_error(const gx_search *how, const float *in, const encoded *e)
{
    double sum = 0;
    for (unsigned i = 0; i < how->size; i++) {
        const double d = ((int)e->codes[i] - (int)e->zero_points[0]) * (double)e->scales[0] - (double)in[i];
        sum += d * d * (how->importance ? (double)how->importance[i] : 1);
    }
    return sum;
}

/* The plain rule: the whole range on the codes. */
static double plain_error(const gx_search *how, const float *in)
{
    float low = 0, high = 0;
    for (unsigned i = 0; i < how->size; i++) {
        low = fminf(low, in[i]);
        high = fmaxf(high, in[i]);
    }
    encoded e = {.scales = {(high - low) / (float)how->top}};
    e.zero_points[0] = (uint8_t)lrintf(-low / e.scales[0]);
    truth->round(in, 1, how->size, how->top, e.scales, e.zero_points, e.codes);
    return squared_error(how, in, &e);
}

static void search_beats_the_plain_range(void **state)
{
    (void)state;
    static encoded e;
    fill_importance();
    for (int weighted = 0; weighted < 2; weighted++) {
        const float *weights = weighted ? importance : NULL;
        const gx_search how = {.size = 32, .top = 15, .zero_points = true, .importance = weights, .importance_blocks = 1};
        double searched = 0, plain = 0;
        for (int n = 0; n < 2000; n++) {
            fill(numbers, 1, how.size);
            encode(truth, &how, numbers, 1, &e);
            searched += squared_error(&how, numbers, &e);
            plain += plain_error(&how, numbers);
        }
        assert_true(searched < (weighted ? 0.42 : 0.92) * plain);
    }
}

static void importance_decides_where_errors_go(void **state)
{
    (void)state;
    static encoded e;
    float weights[32];
    for (int i = 0; i < 32; i++)
        weights[i] = i < 8 ? 100 : 0.1f;
    double with = 0, without = 0;
    for (int n = 0; n < 500; n++) {
        fill(numbers, 1, 32);
        gx_search how = {.size = 32, .top = 15, .zero_points = true, .importance = weights, .importance_blocks = 1};
        encode(truth, &how, numbers, 1, &e);
        with += squared_error(&how, numbers, &e);
        how.importance = NULL;
        encode(truth, &how, numbers, 1, &e);
        how.importance = weights;
        without += squared_error(&how, numbers, &e);
    }
    assert_true(with < 0.7 * without);
}

/* Values that lie on sixteen even steps, with zero among them, come back as they were. */
static void grids_are_found(void **state)
{
    (void)state;
    static encoded e;
    for (int zero_point = 0; zero_point < 16; zero_point++) {
        for (int i = 0; i < 32; i++)
            numbers[i] = (float)(i % 16 - zero_point) * 0.75f;
        const gx_search how = {.size = 32, .top = 15, .zero_points = true};
        encode(truth, &how, numbers, 1, &e);
        assert_int_equal(e.zero_points[0], zero_point);
        for (int i = 0; i < 32; i++)
            assert_int_equal(e.codes[i], i % 16);
        assert_true(fabsf(e.scales[0] - 0.75f) < 1e-6f);
    }
}

static void zero_blocks_have_scale_zero(void **state)
{
    (void)state;
    static encoded e;
    memset(numbers, 0, sizeof numbers);
    for (int variant = 0; variant < 4; variant++) {
        const gx_search how = {.size = 16, .top = variant & 1 ? 255 : 15, .zero_points = variant & 2};
        encode(truth, &how, numbers, 1, &e);
        assert_true(e.scales[0] == 0);
        for (int i = 0; i < 16; i++)
            assert_int_equal(e.codes[i], e.zero_points[0]);
    }
}

static void rounding_is_to_even_and_clamped(void **state)
{
    (void)state;
    const float in[16] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 100, -100, 0, 7, 7.5f, -8, -8.5f, 3e38f, -3e38f, 0.25f, -0.0f};
    static const uint8_t expected[16] = {8, 10, 10, 8, 6, 15, 0, 8, 15, 15, 0, 0, 15, 0, 8, 8};
    const float scale = 1;
    const uint8_t zero_point = 8;
    uint8_t codes[16];
    for (int k = 0; k < 2; k++) {
        (k ? fast : truth)->round(in, 1, 16, 15, &scale, &zero_point, codes);
        assert_memory_equal(codes, expected, sizeof expected);
    }
}

static void nibbles_are_packed_low_first(void **state)
{
    (void)state;
    uint8_t codes[130], out[66];
    for (size_t elements = 0; elements <= 130; elements++)
        for (int k = 0; k < 2; k++) {
            memset(out, GUARD, sizeof out);
            for (size_t i = 0; i < elements; i++)
                codes[i] = (uint8_t)(i * 7 % 16);
            (k ? fast : truth)->pack(codes, elements, out);
            for (size_t i = 0; i + 1 < elements; i += 2)
                assert_int_equal(out[i / 2], codes[i] | codes[i + 1] << 4);
            assert_int_equal(out[elements / 2], GUARD);
        }
}

/* ---- halves ---- */

static void narrowing_is_the_nearest_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) { /* all pairs of neighbours among the finite ones */
        const float low = gx_half_to_float((uint16_t)h), high = gx_half_to_float((uint16_t)(h + 1)), middle = low + (high - low) / 2;
        const float below = nextafterf(middle, 0), above = nextafterf(middle, INFINITY);
        const float in[8] = {low, below, middle, above, -low, -below, -middle, -high};
        const uint16_t even = (uint16_t)(h % 2 ? h + 1 : h);
        const uint16_t expected[8] = {(uint16_t)h, (uint16_t)h, even, (uint16_t)(h + 1), (uint16_t)(h | 0x8000u), (uint16_t)(h | 0x8000u),
                                      (uint16_t)(even | 0x8000u), (uint16_t)((h + 1) | 0x8000u)};
        uint16_t out[8];
        assert_true(truth->narrow(in, out, 8));
        assert_memory_equal(out, expected, sizeof expected);
        assert_true(fast->narrow(in, out, 8));
        assert_memory_equal(out, expected, sizeof expected);
    }
}

static void narrowing_tells_what_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        float value;
        bool fits;
    } cases[] = {{65504, true}, {65519.996f, true}, {65520, false}, {-65520, false}, {1e30f, false},
                 {INFINITY, false}, {-INFINITY, false}, {NAN, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t at = 0; at < 21; at++) {
            float in[21] = {0};
            uint16_t out[22] = {[21] = 0xa5a5};
            in[at] = cases[i].value;
            assert_true(truth->narrow(in, out, 21) == cases[i].fits);
            assert_true(fast->narrow(in, out, 21) == cases[i].fits);
            assert_int_equal(out[21], 0xa5a5);
        }
}

static void finite_and_magnitude(void **state)
{
    (void)state;
    for (size_t at = 0; at < 21; at++)
        for (int k = 0; k < 2; k++) {
            const gx_kernels *kernels = k ? fast : truth;
            float in[21] = {1, -2};
            in[at] = -3.4e38f;
            assert_true(kernels->finite(in, 21));
            assert_true(kernels->magnitude(in, 21) == 3.4e38f);
            assert_true(kernels->finite(in, at));
            in[at] = NAN;
            assert_false(kernels->finite(in, 21));
            in[at] = -INFINITY;
            assert_false(kernels->finite(in, 21));
        }
    assert_true(truth->magnitude(numbers, 0) == 0);
}

static void selection(void **state)
{
    (void)state;
    assert_null(gx_kernels_find("none"));
    assert_string_equal(gx_kernels_find("c")->name, "c");
    gx_kernels_select(truth);
    assert_ptr_equal(gx_kernels_get(), truth);
    gx_kernels_select(NULL);
    assert_ptr_equal(gx_kernels_get(), fast);
}

int main(void)
{
    truth = gx_kernels_find("c");
    fast = gx_kernels_get();
    if (fast == truth)
        print_message("[  NOTE    ] this processor has the scalar kernels only: nothing to compare them with\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches_agree),
        cmocka_unit_test(blocks_are_independent),
        cmocka_unit_test(search_beats_the_plain_range),
        cmocka_unit_test(importance_decides_where_errors_go),
        cmocka_unit_test(grids_are_found),
        cmocka_unit_test(zero_blocks_have_scale_zero),
        cmocka_unit_test(rounding_is_to_even_and_clamped),
        cmocka_unit_test(nibbles_are_packed_low_first),
        cmocka_unit_test(narrowing_is_the_nearest_half),
        cmocka_unit_test(narrowing_tells_what_does_not_fit),
        cmocka_unit_test(finite_and_magnitude),
        cmocka_unit_test(selection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
