/* Which weight gets which scheme, by precision: a table. */
#ifndef GX_QUANT_POLICY_H
#define GX_QUANT_POLICY_H

#include "quant/scheme.h"

typedef enum gx_quant_role {
    GX_QUANT_ROLE_ATTENTION_QKV,
    GX_QUANT_ROLE_ATTENTION_OUTPUT,
    GX_QUANT_ROLE_MLP_GATE_UP,
    GX_QUANT_ROLE_MLP_DOWN,
    GX_QUANT_ROLE_EMBEDDING, /* and the head */
    GX_QUANT_ROLE_LOOKUP,    /* the embedding, where there is no head */
    GX_QUANT_ROLE_DENSE,     /* behind the mean of an encoder */
    GX_QUANT_ROLE_LAYER_EMBEDDING, /* Gemma 3n and 4: tables of the inputs of single layers, */
    GX_QUANT_ROLE_LAYER_INPUT,     /* … and the small matrices around them */
    GX_QUANT_ROLE_EXPERT,
    GX_QUANT_ROLE_ROUTER,
    GX_QUANT_ROLE_COUNT,
} gx_quant_role;

/* In the order of GX_PRECISION_*'s bits. */
#define GX_POLICY_COUNT 6u

typedef struct gx_policy {
    const char *name;    /* "q4f16" */
    const char *suffix;  /* "_q4f16" */
    gx_dtype activation; /* F32 or F16 */
    gx_scheme schemes[GX_QUANT_ROLE_COUNT];
} gx_policy;

const char *gx_policy_name(unsigned index); /* index < GX_POLICY_COUNT */
const char *gx_policy_suffix(unsigned index);

/* The one to take where the user names none, of `precisions` (GX_PRECISION_* bits, not 0). */
unsigned gx_policy_preferred(unsigned precisions);

/* Row `index` of the table with the user's choices applied. block_size: of all 4-bit weights, 16, 32, 64 or 128; embedding_bits:
 * 4, 8, 16 or 32; 0: the row's own. They concern the 4-bit precisions alone. */
gx_status gx_policy_make(gx_policy *out, unsigned index, unsigned block_size, unsigned embedding_bits, gx_error *error) GX_MUST_USE;

/* Its weights come in blocks, of 4 or of 8 bits. */
bool gx_policy_has_blocks(const gx_policy *policy);

/* q4 and q4f16: what block_size and embedding_bits speak of, and what importance and balance help. */
bool gx_policy_has_four_bits(const gx_policy *policy);

/* A few words on why a weight is stored as it is. */
void gx_policy_rule(const gx_policy *policy, gx_quant_role role, const gx_scheme *scheme, char *out, size_t nbytes);

#endif
