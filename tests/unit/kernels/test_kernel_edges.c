/* Blocks at the edges of what floats are, and rounding against the C library's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "tensor/half.h"

static const gx_kernels *sets[2];

static uint32_t next_random(void)
{
    static uint32_t state = 99;
    state = state * 1664525u + 1013904223u;
    return state ^ state >> 15;
}

typedef struct result {
    float scale, back[256];
} result;

static result round_trip(const gx_kernels *k, const gx_search *how, const float *in)
{
    result r;
    uint8_t zero_point = 0, codes[256];
    k->search(how, in, 1, &r.scale, &zero_point);
    k->round(in, 1, how->size, how->top, &r.scale, &zero_point, codes);
    for (unsigned i = 0; i < how->size; i++) {
        assert_true(codes[i] <= how->top && zero_point <= how->top);
        r.back[i] = (float)((int)codes[i] - (int)zero_point) * r.scale;
    }
    return r;
}

/* A block of one value has an exact code in every variant; the scale is a quotient of sums of up to 256 fp32 products. */
static void constant_blocks_come_back(void **state)
{
    (void)state;
    static const float values[] = {1, -1, 0.1f, -3.7f, 1e-15f, -1e-15f, 1e17f, -1e17f, 65504, 5.9604645e-8f};
    float in[256];
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
        for (int variant = 0; variant < 8; variant++) {
            const gx_search how = {.size = variant & 4 ? 256 : 16, .top = variant & 1 ? 255 : 15, .zero_points = variant & 2};
            for (unsigned i = 0; i < how.size; i++)
                in[i] = values[v];
            for (int k = 0; k < 2; k++) {
                const result r = round_trip(sets[k], &how, in);
                for (unsigned i = 0; i < how.size; i++)
                    assert_true(fabsf(r.back[i] - values[v]) <= 1e-5f * fabsf(values[v]));
            }
        }
}

/* Weights whose squares, or the inverse of whose scale, are no normal numbers: whatever the codes are, none is further off than
 * the largest weight, or than what no sum will ever notice. */
static void denormal_blocks_do_no_harm(void **state)
{
    (void)state;
    float in[32];
    for (int exponent = -149; exponent <= -60; exponent++)
        for (int variant = 0; variant < 4; variant++) {
            const gx_search how = {.size = 32, .top = variant & 1 ? 255 : 15, .zero_points = variant & 2};
            for (unsigned i = 0; i < 32; i++)
                in[i] = ldexpf((float)((int)(i * 5 % 17) - 8) / 8, exponent);
            for (int k = 0; k < 2; k++) {
                const result r = round_trip(sets[k], &how, in);
                assert_true(isfinite(r.scale));
                for (unsigned i = 0; i < 32; i++)
                    assert_true(fabsf(r.back[i] - in[i]) <= fmaxf(ldexpf(1, exponent), 0x1p-118f));
            }
        }
}

/* The kernels round with an addition; here the C library rounds. */
static void codes_are_the_nearest(void **state)
{
    (void)state;
    float in[256];
    uint8_t codes[256];
    for (int n = 0; n < 2000; n++) {
        const int top = n % 2 ? 255 : 15;
        const uint8_t zero_point = (uint8_t)(next_random() % (unsigned)(top + 1));
        const float scale = ldexpf(1 + (float)(next_random() % 1024) / 1024, (int)(next_random() % 20) - 10) * (n % 3 ? 1 : -1),
            inverse = 1.0f / scale;
        for (int i = 0; i < 256; i++) /* quarters of a step: half of them ties, some beyond the range */
            in[i] = (float)((int)(next_random() % 2048) - 1024) * 0.25f / inverse;
        for (int k = 0; k < 2; k++) {
            sets[k]->round(in, 1, 256, top, &scale, &zero_point, codes);
            for (int i = 0; i < 256; i++)
                assert_int_equal(codes[i], (int)fmin(fmax(nearbyint((double)(in[i] * inverse)) + zero_point, 0), top));
        }
    }
}

/* A half by its definition: the value in units of its last place, rounded by the C library. */
static uint16_t reference_half(float value)
{
    int exponent;
    const double magnitude = fabs((double)value);
    frexp(magnitude, &exponent);
    const int place = exponent - 11 > -24 ? exponent - 11 : -24;
    const double units = nearbyint(ldexp(magnitude, -place));
    const uint32_t bits = magnitude == 0 || place == -24 ? (uint32_t)units : ((uint32_t)(place + 24) << 10) + (uint32_t)units;
    return (uint16_t)(bits | (signbit(value) ? 0x8000u : 0));
}

static void halves_are_rounded_by_their_definition(void **state)
{
    (void)state;
    float in[64];
    uint16_t out[64];
    for (int n = 0; n < 20000; n++) {
        for (int i = 0; i < 64; i++) /* every exponent from a quarter of the least half to the largest */
            in[i] = ldexpf(1 + (float)(next_random() >> 9) * 0x1p-23f, (int)(next_random() % 41) - 26) * (next_random() % 2 ? 1 : -1);
        for (int i = 0; i < 64; i++)
            in[i] = fabsf(in[i]) < 65520 ? in[i] : 65504;
        for (int k = 0; k < 2; k++) {
            assert_true(sets[k]->narrow(in, out, 64));
            for (int i = 0; i < 64; i++)
                if (out[i] != reference_half(in[i]))
                    fail_msg("%s: %a became %04x, expected %04x", sets[k]->name, (double)in[i], out[i], reference_half(in[i]));
        }
    }
}

int main(void)
{
    sets[0] = gx_kernels_find("c");
    sets[1] = gx_kernels_get();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_blocks_come_back),
        cmocka_unit_test(denormal_blocks_do_no_harm),
        cmocka_unit_test(codes_are_the_nearest),
        cmocka_unit_test(halves_are_rounded_by_their_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
