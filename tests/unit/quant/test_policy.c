/* Which scheme a weight gets, by precision, options and size of the model; and what importance the norms give. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "quant/importance.h"
#include "quant/policy.h"

static gx_policy make(unsigned index, unsigned block_size, unsigned embedding_bits)
{
    gx_policy policy;
    assert_int_equal(gx_policy_make(&policy, index, block_size, embedding_bits, NULL), GX_OK);
    return policy;
}

static void check(const gx_policy *policy, gx_quant_role role, const char *expected)
{
    char name[64], rule[160];
    const gx_scheme scheme = policy->schemes[role];
    gx_policy_rule(policy, role, &scheme, rule, sizeof rule);
    gx_scheme_name(&scheme, name, sizeof name);
    assert_string_equal(name, expected);
    assert_true(strncmp(rule, policy->name, strlen(policy->name)) == 0);
    assert_non_null(strstr(rule, expected));
}

#define INT4 "int4, blocks of 32, zero points"
#define SYMMETRIC "int4, blocks of 32"
#define HEAD "int4, blocks of 64"
#define EIGHT "int8, blocks of 32"
#define WIDE "int8, blocks of 128"
#define ROWS "int8, one scale a row"

static void precisions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *suffix;
        gx_dtype activation;
        const char *schemes[GX_QUANT_ROLE_COUNT];
    } expected[GX_POLICY_COUNT] = {
        {"fp32", "", GX_DTYPE_F32, {"fp32", "fp32", "fp32", "fp32", "fp32", "fp32", "fp32", "fp32", "fp32", "fp32", "fp32"}},
        {"fp16", "_fp16", GX_DTYPE_F16, {"fp16", "fp16", "fp16", "fp16", "fp16", "fp16", "fp16", "fp16", "fp16", "fp16", "fp32"}},
        {"q4",
         "_q4",
         GX_DTYPE_F32,
         {INT4, INT4, SYMMETRIC, INT4, HEAD, HEAD, EIGHT, SYMMETRIC, EIGHT, SYMMETRIC, "fp32"}},
        {"q4f16",
         "_q4f16",
         GX_DTYPE_F16,
         {INT4, INT4, SYMMETRIC, INT4, HEAD, HEAD, EIGHT, SYMMETRIC, EIGHT, SYMMETRIC, "fp32"}},
        {"q8",
         "_quantized",
         GX_DTYPE_F32,
         {ROWS, ROWS, ROWS, ROWS, ROWS ", transposed", ROWS, ROWS, ROWS, ROWS, ROWS, "fp32"}},
        {"int8",
         "_int8",
         GX_DTYPE_F32,
         {EIGHT, EIGHT, EIGHT, EIGHT, WIDE, WIDE, EIGHT, WIDE, EIGHT, EIGHT, "fp32"}},
    };
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        const gx_policy policy = make(i, 0, 0);
        assert_string_equal(policy.name, expected[i].name);
        assert_string_equal(gx_policy_name(i), expected[i].name);
        assert_string_equal(policy.suffix, expected[i].suffix);
        assert_int_equal(policy.activation, expected[i].activation);
        for (int role = 0; role < GX_QUANT_ROLE_COUNT; role++)
            check(&policy, (gx_quant_role)role, expected[i].schemes[role]);
    }
}

static void preferred(void **state)
{
    (void)state;
    static const char *const order[GX_POLICY_COUNT] = {"q4", "int8", "q8", "fp32", "fp16", "q4f16"};
    unsigned left = (1u << GX_POLICY_COUNT) - 1;
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        const unsigned first = gx_policy_preferred(left);
        assert_string_equal(gx_policy_name(first), order[i]);
        assert_int_equal(gx_policy_preferred(1u << first), first);
        left &= ~(1u << first);
    }
}

static void block_size_is_of_all_four_bit_weights(void **state)
{
    (void)state;
    const gx_policy policy = make(2, 128, 0), wide = make(2, 16, 8);
    check(&policy, GX_QUANT_ROLE_MLP_GATE_UP, "int4, blocks of 128");
    check(&policy, GX_QUANT_ROLE_EMBEDDING, "int4, blocks of 128");
    check(&policy, GX_QUANT_ROLE_ATTENTION_QKV, "int4, blocks of 128, zero points");
    check(&wide, GX_QUANT_ROLE_EMBEDDING, WIDE);
}

static void embedding_bits(void **state)
{
    (void)state;
    static const struct {
        unsigned bits;
        const char *name;
    } cases[] = {{4, HEAD}, {8, WIDE}, {16, "fp16"}, {32, "fp32"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gx_policy policy = make(3, 0, cases[i].bits), other = make(0, 16, cases[i].bits);
        check(&policy, GX_QUANT_ROLE_EMBEDDING, cases[i].name);
        check(&policy, GX_QUANT_ROLE_MLP_GATE_UP, SYMMETRIC);
        check(&other, GX_QUANT_ROLE_EMBEDDING, "fp32");
    }
}

static void which_precisions_have_blocks(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        const gx_policy policy = make(i, 0, 0), wished = make(i, 16, 16);
        const bool four_bits = strncmp(policy.name, "q4", 2) == 0;
        assert_int_equal(gx_policy_has_four_bits(&policy), four_bits);
        assert_int_equal(gx_policy_has_blocks(&policy), four_bits || strcmp(policy.name, "int8") == 0);
        assert_int_equal(memcmp(&policy, &wished, sizeof policy) != 0, four_bits); /* options of 4-bit weights change no other */
    }
}

static void wrong_options(void **state)
{
    (void)state;
    gx_policy policy = {.name = "untouched"};
    gx_error error = {0};
    assert_int_equal(gx_policy_make(&policy, 2, 48, 0, &error), GX_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "block size 48: expected 16, 32, 64 or 128"));
    error = (gx_error){0};
    assert_int_equal(gx_policy_make(&policy, 2, 32, 5, &error), GX_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "embedding bits 5: expected 4, 8, 16 or 32"));
    assert_string_equal(policy.name, "untouched");
}

static void importance_follows_the_stream(void **state)
{
    (void)state;
    double stream[4];
    float out[4];
    gx_importance_start(stream, 4);
    gx_importance_add(stream, (const float[]){1, 3, 0, -1}, 4); /* 2, 10, 1, 2 */
    gx_importance_read(out, stream, (const float[]){2, 1, 1, -1}, 4); /* 8, 10, 1, 2: mean 5.25 */
    const float expected[4] = {8 / 5.25f, 10 / 5.25f, 1 / 5.25f, 2 / 5.25f};
    for (int k = 0; k < 4; k++)
        assert_true(fabsf(out[k] - expected[k]) < 1e-6f);
}

static void importance_is_always_positive_and_finite(void **state)
{
    (void)state;
    double stream[3];
    float out[3];
    static const float norms[][3] = {{0, 1, 1}, {0, 0, 0}, {NAN, 1, 1}, {INFINITY, 1, 1}, {1e20f, 1e-20f, 1}};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        gx_importance_start(stream, 3);
        gx_importance_add(stream, norms[i], 3);
        gx_importance_read(out, stream, norms[i], 3);
        for (int k = 0; k < 3; k++)
            assert_true(out[k] >= 0x1p-10f && out[k] <= 0x1p20f);
    }
}

static void balance_halves_the_exponent_and_undoes_itself(void **state)
{
    (void)state;
    float importance[3] = {16, 1, 0x1p-10f}, balance[3], inverse[3];
    gx_importance_balance(importance, balance, inverse, 3);
    const float rest[3] = {4, 1, 0x1p-5f}, factor[3] = {2, 1, 0.17677669f};
    for (int k = 0; k < 3; k++) {
        assert_true(fabsf(importance[k] - rest[k]) < 1e-6f);
        assert_true(fabsf(balance[k] - factor[k]) < 1e-6f);
        assert_true(fabsf(balance[k] * inverse[k] - 1) < 1e-6f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precisions),
        cmocka_unit_test(preferred),
        cmocka_unit_test(block_size_is_of_all_four_bit_weights),
        cmocka_unit_test(embedding_bits),
        cmocka_unit_test(which_precisions_have_blocks),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(importance_follows_the_stream),
        cmocka_unit_test(importance_is_always_positive_and_finite),
        cmocka_unit_test(balance_halves_the_exponent_and_undoes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
