/* The table of precisions. */
#include <stdio.h>

#include "quant/policy.h"

#define FLOAT_SCHEME(type) {.kind = GX_SCHEME_FLOAT, .dtype = type}
/* Scales are fp16 in every precision: where the activation is fp32, a Cast widens them when the session opens. */
#define INT4 {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 32, .zero_points = true}
#define INT8 {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 8, .block_size = EIGHT_BIT_BLOCK}
#define EIGHT_BIT_BLOCK 128

/* Beyond, down and the attention output in eight bits would make files larger than others' mixtures of four and six. */
#define LARGEST_SMALL_HIDDEN_SIZE 1536u

/* Four bits where most weights are and least is lost: gate and up, and the embedding. Eight in the rest
 * (docs/quantisation.md). */
#define MIXED \
    [GX_QUANT_ROLE_ATTENTION_QKV] = INT8, [GX_QUANT_ROLE_ATTENTION_OUTPUT] = INT8, [GX_QUANT_ROLE_MLP_GATE_UP] = INT4, \
    [GX_QUANT_ROLE_MLP_DOWN] = INT8, [GX_QUANT_ROLE_EMBEDDING] = INT4

/* Every linear weight of a layer alike. */
#define ALL_LINEAR(scheme)                                                                                             \
    [GX_QUANT_ROLE_ATTENTION_QKV] = scheme, [GX_QUANT_ROLE_ATTENTION_OUTPUT] = scheme, [GX_QUANT_ROLE_MLP_GATE_UP] = scheme, \
    [GX_QUANT_ROLE_MLP_DOWN] = scheme

static const gx_policy table[GX_POLICY_COUNT] = {
    {"fp32", "", GX_DTYPE_F32, {ALL_LINEAR(FLOAT_SCHEME(GX_DTYPE_F32)), [GX_QUANT_ROLE_EMBEDDING] = FLOAT_SCHEME(GX_DTYPE_F32)}},
    {"fp16", "_fp16", GX_DTYPE_F16, {ALL_LINEAR(FLOAT_SCHEME(GX_DTYPE_F16)), [GX_QUANT_ROLE_EMBEDDING] = FLOAT_SCHEME(GX_DTYPE_F16)}},
    {"q4", "_q4", GX_DTYPE_F32, {MIXED}},
    {"q4f16", "_q4f16", GX_DTYPE_F16, {MIXED}},
    /* The body unfolds to fp32 when the session opens: fp32 arithmetic is the fast one in a browser. */
    {"q8",
     "_quantized",
     GX_DTYPE_F32,
     {ALL_LINEAR(((gx_scheme){.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32})),
      [GX_QUANT_ROLE_EMBEDDING] = {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32, .transposed = true}}},
};

const char *gx_policy_name(unsigned index)
{
    return table[index].name;
}

const char *gx_policy_suffix(unsigned index)
{
    return table[index].suffix;
}

static bool is_block_size(unsigned n)
{
    return n == 16 || n == 32 || n == 64 || n == 128;
}

static bool has_blocks(const gx_policy *policy)
{
    return policy->schemes[GX_QUANT_ROLE_MLP_GATE_UP].kind == GX_SCHEME_BLOCK;
}

static gx_scheme embedding_scheme(unsigned bits)
{
    switch (bits) {
    case 4: return (gx_scheme)INT4;
    case 8: return (gx_scheme)INT8;
    default: return (gx_scheme){.kind = GX_SCHEME_FLOAT, .dtype = bits == 16 ? GX_DTYPE_F16 : GX_DTYPE_F32};
    }
}

gx_status gx_policy_make(gx_policy *out, unsigned index, unsigned block_size, unsigned embedding_bits, gx_error *error)
{
    if (!is_block_size(block_size))
        return gx_fail(error, GX_ERROR_ARGUMENT, "block size %u: expected 16, 32, 64 or 128", block_size);
    if (embedding_bits != 0 && embedding_bits != 4 && embedding_bits != 8 && embedding_bits != 16 && embedding_bits != 32)
        return gx_fail(error, GX_ERROR_ARGUMENT, "embedding bits %u: expected 4, 8, 16 or 32", embedding_bits);
    *out = table[index];
    if (!has_blocks(out))
        return GX_OK;
    if (embedding_bits)
        out->schemes[GX_QUANT_ROLE_EMBEDDING] = embedding_scheme(embedding_bits);
    for (int role = 0; role < GX_QUANT_ROLE_COUNT; role++)
        if (out->schemes[role].bits == 4)
            out->schemes[role].block_size = block_size;
    return GX_OK;
}

void gx_policy_fit(gx_policy *policy, uint64_t hidden_size)
{
    static const gx_quant_role spared[] = {GX_QUANT_ROLE_ATTENTION_OUTPUT, GX_QUANT_ROLE_MLP_DOWN};
    if (!has_blocks(policy) || hidden_size <= LARGEST_SMALL_HIDDEN_SIZE)
        return;
    for (size_t i = 0; i < sizeof spared / sizeof *spared; i++)
        policy->schemes[spared[i]] = policy->schemes[GX_QUANT_ROLE_MLP_GATE_UP];
}

/* One attention output in four makes do with four bits: that keeps the 270M's file, all told, below 180 MB. */
static bool is_spared(const gx_policy *policy, gx_quant_role role, uint32_t layer)
{
    return has_blocks(policy) && role == GX_QUANT_ROLE_ATTENTION_OUTPUT && layer % 4 == 2;
}

gx_scheme gx_policy_select(const gx_policy *policy, gx_quant_role role, uint32_t layer, uint32_t layer_count, char *rule,
                           size_t rule_nbytes)
{
    static const char *const names[GX_QUANT_ROLE_COUNT] = {"q, k and v", "attention output", "gate and up", "down", "embedding and head"};
    (void)layer_count; /* no layer is first or last in its rights: which ones suffer most differs from model to model */
    const gx_scheme *scheme = &policy->schemes[is_spared(policy, role, layer) ? GX_QUANT_ROLE_MLP_GATE_UP : role];
    char name[64];
    gx_scheme_name(scheme, name, sizeof name);
    snprintf(rule, rule_nbytes, "%s: %s in %s", policy->name, names[role], name);
    return *scheme;
}
