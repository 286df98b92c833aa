/* Does sampling draw what it should: the likeliest id, the right few, in the right proportion, the same every time? */
#include <math.h>

#include "runtime/sampler.h"
#include "runtime_support.h"

#define DRAWS 40000

static const float six[6] = {1.0f, 3.0f, 2.0f, 3.0f, -INFINITY, 0.0f};

static gx_sampler *new_sampler(double temperature, size_t top_k, double top_p, uint64_t seed, size_t vocabulary)
{
    gx_sampler *sampler = NULL;
    const gx_sampler_options options = {temperature, top_k, top_p, seed};
    assert_ok(gx_sampler_new(&sampler, &options, vocabulary, error));
    return sampler;
}

/* The share of each of the six ids in many draws. */
static void draw_many(double temperature, size_t top_k, double top_p, double shares[6])
{
    gx_sampler *sampler = new_sampler(temperature, top_k, top_p, 7, 6);
    int drawn[6] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int64_t id = -1;
        assert_ok(gx_sampler_next(sampler, six, 6, &id, error));
        assert_in_range(id, 0, 5);
        drawn[id]++;
    }
    for (int id = 0; id < 6; id++)
        shares[id] = (double)drawn[id] / DRAWS;
    gx_sampler_free(sampler);
}

/* Five standard deviations of a share. */
static void assert_share(double share, double expected)
{
    const double bound = 5 * sqrt(expected * (1 - expected) / DRAWS);
    if (fabs(share - expected) > bound)
        fail_msg("share %g, expected %g within %g", share, expected, bound);
}

static void softmax_of(const int *ids, size_t count, double temperature, double expected[6])
{
    double total = 0;
    memset(expected, 0, 6 * sizeof *expected);
    for (size_t i = 0; i < count; i++)
        total += exp((double)six[ids[i]] / temperature);
    for (size_t i = 0; i < count; i++)
        expected[ids[i]] = exp((double)six[ids[i]] / temperature) / total;
}

static void draws_in_proportion(void **state)
{
    (void)state;
    static const struct {
        double temperature;
        size_t top_k;
        double top_p;
        int ids[6];
        size_t count;
    } cases[] = {
        {1.0, 0, 1.0, {0, 1, 2, 3, 5}, 5},
        {0.5, 0, 1.0, {0, 1, 2, 3, 5}, 5},
        {2.0, 6, 1.0, {0, 1, 2, 3, 5}, 5},
        {1.0, 3, 1.0, {1, 3, 2}, 3},
        {1.0, 1, 1.0, {1}, 1},
        {1.0, 2, 0.5, {1}, 1},          /* top_p of what top_k left: 1 and 3 have half each */
        {1.0, 2, 0.51, {1, 3}, 2},      /* one half is not enough */
        {1.0, 0, 0.75, {1, 3}, 2},      /* 0.39 + 0.39 of the whole */
        {1.0, 0, 0.80, {1, 3, 2}, 3},
        {3.0, 4, 0.9999, {0, 1, 2, 3}, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double shares[6], expected[6];
        draw_many(cases[i].temperature, cases[i].top_k, cases[i].top_p, shares);
        softmax_of(cases[i].ids, cases[i].count, cases[i].temperature, expected);
        for (int id = 0; id < 6; id++)
            assert_share(shares[id], expected[id]);
    }
}

static void takes_the_likeliest_without_temperature(void **state)
{
    (void)state;
    gx_sampler *sampler = new_sampler(0, 0, 1, 1, 6);
    int64_t id = -1;
    assert_ok(gx_sampler_next(sampler, six, 6, &id, error));
    assert_int_equal(id, 1); /* 1 and 3 are equal */
    gx_sampler_free(sampler);
}

static void repeats_itself(void **state)
{
    (void)state;
    enum { VOCABULARY = 1000, STEPS = 200 };
    static float logits[VOCABULARY];
    static const struct {
        size_t top_k;
        double top_p;
    } cases[] = {{0, 1}, {40, 1}, {0, 0.9}, {64, 0.95}};
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = (float)((i * 7919) % 1013) / 200;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t different = 0;
        gx_sampler *a = new_sampler(0.8, cases[c].top_k, cases[c].top_p, 42, VOCABULARY);
        gx_sampler *b = new_sampler(0.8, cases[c].top_k, cases[c].top_p, 42, VOCABULARY);
        gx_sampler *other = new_sampler(0.8, cases[c].top_k, cases[c].top_p, 43, VOCABULARY);
        for (int i = 0; i < STEPS; i++) {
            int64_t of_a, of_b, of_other;
            assert_ok(gx_sampler_next(a, logits, VOCABULARY, &of_a, error));
            assert_ok(gx_sampler_next(b, logits, VOCABULARY, &of_b, error));
            assert_ok(gx_sampler_next(other, logits, VOCABULARY, &of_other, error));
            assert_int_equal(of_a, of_b);
            different += of_a != of_other;
        }
        assert_true(different > STEPS / 2);
        gx_sampler_free(a);
        gx_sampler_free(b);
        gx_sampler_free(other);
    }
}

/* The first numbers of splitmix64 from seed 0, as its authors give them, decide which of 2^16 equal ids is drawn. */
static void draws_by_splitmix64(void **state)
{
    (void)state;
    static float equal[65536];
    static const uint64_t published[3] = {0xe220a8397b1dcdafu, 0x6e789e6aa1b965f4u, 0x06c45d188009454fu};
    gx_sampler *sampler = new_sampler(1, 0, 1, 0, 65536);
    for (size_t i = 0; i < 3; i++) {
        int64_t id = -1;
        assert_ok(gx_sampler_next(sampler, equal, 65536, &id, error));
        assert_int_equal(id, published[i] >> 48);
    }
    gx_sampler_free(sampler);
}

static void refuses_broken_logits(void **state)
{
    (void)state;
    int64_t id = -1;
    const float nan_logits[3] = {1, NAN, 2}, infinite[3] = {1, INFINITY, 2}, empty[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int temperature = 0; temperature <= 1; temperature++) {
        gx_sampler *sampler = new_sampler(temperature, 0, 1, 1, 3);
        assert_fails(gx_sampler_next(sampler, nan_logits, 3, &id, error), GX_ERROR_MISMATCH, "id 1");
        assert_fails(gx_sampler_next(sampler, infinite, 3, &id, error), GX_ERROR_MISMATCH, "infinite");
        assert_fails(gx_sampler_next(sampler, empty, 3, &id, error), GX_ERROR_MISMATCH, "infinite");
        assert_fails(gx_sampler_next(sampler, six, 6, &id, error), GX_ERROR_ARGUMENT, "6 logits");
        gx_sampler_free(sampler);
    }
    assert_int_equal(id, -1);
}

static void refuses_impossible_options(void **state)
{
    (void)state;
    static const gx_sampler_options wrong[] = {
        {-1, 0, 1, 0}, {NAN, 0, 1, 0}, {INFINITY, 0, 1, 0}, {1, 0, 0, 0}, {1, 0, 1.5, 0}, {1, 0, NAN, 0},
    };
    gx_sampler *none = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(gx_sampler_new(&none, &wrong[i], 6, error), GX_ERROR_ARGUMENT, "expected");
    const gx_sampler_options fine = {1, 0, 1, 0};
    assert_fails(gx_sampler_new(&none, &fine, 0, error), GX_ERROR_ARGUMENT, "vocabulary");
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_in_proportion), cmocka_unit_test(takes_the_likeliest_without_temperature),
        cmocka_unit_test(repeats_itself),      cmocka_unit_test(draws_by_splitmix64),
        cmocka_unit_test(refuses_broken_logits), cmocka_unit_test(refuses_impossible_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
