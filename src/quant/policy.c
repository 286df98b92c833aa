/* The table of precisions. */
#include <stdio.h>

#include "quant/policy.h"

#define FLOAT_SCHEME(type) {.kind = GX_SCHEME_FLOAT, .dtype = type}
/* Scales are fp16 in every precision: where the activation is fp32, a Cast widens them when the session opens. */
#define BLOCKS(n_bits, size, with_zero_points) \
    {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = n_bits, .block_size = size, .zero_points = with_zero_points}
#define EIGHT_BITS BLOCKS(8, 128, false)
#define ROW_INT8(is_transposed) {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32, .transposed = is_transposed}

/* Rounding it changes which experts are picked. */
#define ROUTER [GX_QUANT_ROLE_ROUTER] = FLOAT_SCHEME(GX_DTYPE_F32)

/* Zero points cost a tenth of a product's time: they are where they gain most for it. The head is two thirds of what a small
 * model reads, and bears larger blocks (docs/quantisation.md). */
#define FOUR_BITS \
    [GX_QUANT_ROLE_ATTENTION_QKV] = BLOCKS(4, 32, true), [GX_QUANT_ROLE_ATTENTION_OUTPUT] = BLOCKS(4, 32, true), \
    [GX_QUANT_ROLE_MLP_GATE_UP] = BLOCKS(4, 32, false), [GX_QUANT_ROLE_MLP_DOWN] = BLOCKS(4, 32, true), \
    [GX_QUANT_ROLE_EMBEDDING] = BLOCKS(4, 64, false), [GX_QUANT_ROLE_LOOKUP] = BLOCKS(4, 64, false), [GX_QUANT_ROLE_DENSE] = BLOCKS(8, 32, false), \
    [GX_QUANT_ROLE_LAYER_EMBEDDING] = BLOCKS(4, 32, false), \
    [GX_QUANT_ROLE_LAYER_INPUT] = BLOCKS(8, 32, false), [GX_QUANT_ROLE_EXPERT] = BLOCKS(4, 32, false), ROUTER

/* What a layer multiplies with. */
#define PRODUCTS(scheme)                                                                                                     \
    [GX_QUANT_ROLE_ATTENTION_QKV] = scheme, [GX_QUANT_ROLE_ATTENTION_OUTPUT] = scheme, [GX_QUANT_ROLE_MLP_GATE_UP] = scheme, \
    [GX_QUANT_ROLE_MLP_DOWN] = scheme, [GX_QUANT_ROLE_LAYER_INPUT] = scheme, [GX_QUANT_ROLE_EXPERT] = scheme,                \
    [GX_QUANT_ROLE_DENSE] = scheme, ROUTER

/* Of what rows are looked up. */
#define LOOKUPS(scheme) [GX_QUANT_ROLE_LAYER_EMBEDDING] = scheme, [GX_QUANT_ROLE_LOOKUP] = scheme

static const gx_policy table[GX_POLICY_COUNT] = {
    {"fp32", "", GX_DTYPE_F32, {PRODUCTS(FLOAT_SCHEME(GX_DTYPE_F32)), LOOKUPS(FLOAT_SCHEME(GX_DTYPE_F32)), [GX_QUANT_ROLE_EMBEDDING] = FLOAT_SCHEME(GX_DTYPE_F32)}},
    {"fp16", "_fp16", GX_DTYPE_F16, {PRODUCTS(FLOAT_SCHEME(GX_DTYPE_F16)), LOOKUPS(FLOAT_SCHEME(GX_DTYPE_F16)), [GX_QUANT_ROLE_EMBEDDING] = FLOAT_SCHEME(GX_DTYPE_F16)}},
    {"q4", "_q4", GX_DTYPE_F32, {FOUR_BITS}},
    {"q4f16", "_q4f16", GX_DTYPE_F16, {FOUR_BITS}},
    /* It unfolds to fp32 when the session opens: fp32 arithmetic is the fast one in a browser. */
    {"q8", "_quantized", GX_DTYPE_F32, {PRODUCTS(ROW_INT8(false)), LOOKUPS(ROW_INT8(false)), [GX_QUANT_ROLE_EMBEDDING] = ROW_INT8(true)}},
    /* It stays 8 bits: integer arithmetic is the fast one everywhere else. Activations are rounded block by block, too, and that is most of its
     * error: a layer's blocks are small for their sake, the head's are not, since it is two thirds of what a small model reads. */
    {"int8", "_int8", GX_DTYPE_F32, {PRODUCTS(BLOCKS(8, 32, false)), LOOKUPS(EIGHT_BITS), [GX_QUANT_ROLE_EMBEDDING] = EIGHT_BITS}},
};

const char *gx_policy_name(unsigned index)
{
    return table[index].name;
}

const char *gx_policy_suffix(unsigned index)
{
    return table[index].suffix;
}

/* q4, int8, q8, fp32, fp16, q4f16: small and quick first. */
static const unsigned preference[GX_POLICY_COUNT] = {2, 5, 4, 0, 1, 3};

unsigned gx_policy_preferred(unsigned precisions)
{
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++)
        if (precisions & 1u << preference[i])
            return preference[i];
    GX_BUG("no precision to choose from");
}

static bool is_block_size(unsigned n)
{
    return n == 16 || n == 32 || n == 64 || n == 128;
}

bool gx_policy_has_blocks(const gx_policy *policy)
{
    return policy->schemes[GX_QUANT_ROLE_MLP_GATE_UP].kind == GX_SCHEME_BLOCK;
}

bool gx_policy_has_four_bits(const gx_policy *policy)
{
    return gx_policy_has_blocks(policy) && policy->schemes[GX_QUANT_ROLE_MLP_GATE_UP].bits == 4;
}

static gx_scheme embedding_scheme(const gx_policy *policy, unsigned bits)
{
    switch (bits) {
    case 8: return (gx_scheme)EIGHT_BITS;
    case 16: return (gx_scheme)FLOAT_SCHEME(GX_DTYPE_F16);
    case 32: return (gx_scheme)FLOAT_SCHEME(GX_DTYPE_F32);
    default: return policy->schemes[GX_QUANT_ROLE_EMBEDDING];
    }
}

gx_status gx_policy_make(gx_policy *out, unsigned index, unsigned block_size, unsigned embedding_bits, gx_error *error)
{
    if (block_size && !is_block_size(block_size))
        return gx_fail(error, GX_ERROR_ARGUMENT, "block size %u: expected 16, 32, 64 or 128", block_size);
    if (embedding_bits != 0 && embedding_bits != 4 && embedding_bits != 8 && embedding_bits != 16 && embedding_bits != 32)
        return gx_fail(error, GX_ERROR_ARGUMENT, "embedding bits %u: expected 4, 8, 16 or 32", embedding_bits);
    *out = table[index];
    if (!gx_policy_has_four_bits(out))
        return GX_OK;
    out->schemes[GX_QUANT_ROLE_EMBEDDING] = out->schemes[GX_QUANT_ROLE_LOOKUP] = embedding_scheme(out, embedding_bits);
    for (int role = 0; block_size && role < GX_QUANT_ROLE_COUNT; role++)
        if (out->schemes[role].bits == 4)
            out->schemes[role].block_size = block_size;
    return GX_OK;
}

void gx_policy_rule(const gx_policy *policy, gx_quant_role role, const gx_scheme *scheme, char *out, size_t nbytes)
{
    static const char *const names[GX_QUANT_ROLE_COUNT] = {"q, k and v", "attention output", "gate and up",      "down",            "embedding and head", "embedding",
                                                           "dense layers", "inputs of layers", "gates of inputs", "experts", "router"};
    char name[64];
    gx_scheme_name(scheme, name, sizeof name);
    snprintf(out, nbytes, "%s: %s in %s", policy->name, names[role], name);
}
