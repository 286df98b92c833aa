/*
 * Operator profiles: how the same mathematics is said in operators, as a table. A block asks its profile wherever there is
 * a choice; nothing else depends on which one it is.
 */
#ifndef GX_GRAPH_PROFILE_H
#define GX_GRAPH_PROFILE_H

#include "graph/graph.h"
#include "quant/policy.h"

typedef struct gx_builder gx_builder; /* graph/builder.h */
typedef struct gx_cache_kind gx_cache_kind;

/* A product with a weight that is stored [out, in] (unless its scheme says otherwise). */
typedef struct gx_product {
    const char *leaf;  /* of the node that gives the result */
    const char *name;  /* of the weight's initializers */
    const gx_value *x; /* [rows, in] */
    gx_stored *stored;
    uint64_t in, out;
    gx_shape result; /* [rows, out] */
} gx_product;

typedef struct gx_heads {
    const gx_value *q, *k, *v;
} gx_heads;

/* A layer's experts, and which rows go where. */
typedef struct gx_experts {
    const gx_layer *layer;
    const gx_value *x;             /* [rows, hidden_size] */
    const gx_value *probabilities; /* fp32 [rows, num_experts] */
    const gx_value *picked;        /* int64 [rows, top_k_experts] */
    const gx_value *shares;        /* fp32 [rows, top_k_experts]: what each of the picked counts */
    gx_stored *gate_up, *down;     /* [num_experts * 2 * moe_intermediate_size, hidden_size], [num_experts * hidden_size, moe_intermediate_size] */
} gx_experts;

/* A way to attend. */
typedef struct gx_attention_form {
    bool heads_first; /* q, k, v as [batch, heads, sequence, head_dim]; else [batch, sequence, heads * head_dim] */
    bool by_bias;     /* a bias says what a query sees: gx_cache_kind */
    const gx_value *(*rotate)(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads);
    /* Extends the caches, which it declares, by k and v, and attends: like heads->q. */
    const gx_value *(*attend)(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number);
} gx_attention_form;

/* Declares past_key_values.N.<what>, and gives present.N.<what>, which holds `rows` [batch, kv_heads, sequence, head_dim], too. */
typedef const gx_value *(*gx_cache_writer)(gx_builder *b, const gx_layer *layer, uint32_t number, const gx_cache_kind *kind, const char *what,
                                           const gx_value *rows);

struct gx_profile {
    const char *name;
    int64_t opset, ir_version;             /* where no weight has blocks */
    int64_t block_opset, block_ir_version; /* blockwise int4 came with opset 21 */
    unsigned onnxruntime, block_onnxruntime; /* oldest minor version 1.x that is right; what some graphs need besides: gx_builder_needs_onnxruntime */
    int64_t microsoft_opset;               /* 0: no operator of that domain */
    bool takes_position;                   /* static graphs: input "position"; else GroupQueryAttention's lengths */
    uint64_t window_slack;                 /* bounded caches: slots beyond the window, besides */
    bool window_holds_call;                /* … those of the longest call */

    /* The scheme that this profile can read, given the table's. */
    gx_scheme (*fit_scheme)(const gx_scheme *scheme, uint64_t columns, gx_dtype activation);
    const gx_value *(*products[GX_SCHEME_KIND_COUNT])(gx_builder *b, const gx_product *p);
    /* x times scale over its root mean square along the last dimension. scale: [columns], of the activation type. */
    const gx_value *(*rms_norm)(gx_builder *b, const char *leaf, const gx_value *x, const gx_value *scale, double epsilon);
    /* The same of *stream + x, which *stream then is; `sum` is the sum's whole name. */
    const gx_value *(*add_rms_norm)(gx_builder *b, const char *sum, const char *leaf, const gx_value **stream, const gx_value *x, const gx_value *scale,
                                    double epsilon);
    const gx_value *(*gelu)(gx_builder *b, const gx_value *x); /* fp32 */
    const gx_value *(*experts)(gx_builder *b, const gx_experts *e); /* fp32 [rows, hidden_size] */
    gx_attention_form attention;
    gx_attention_form bias_attention; /* … which may be by bias: of layers that read another one's caches, and see blocks/attention.c */
    gx_attention_form encoder_attention; /* by bias, without caches */
    const gx_value *(*slots)(gx_builder *b, const gx_cache_kind *kind); /* static graphs, by_bias: where a call's keys go, …; NULL: layers with caches of their own attend otherwise */
    gx_cache_writer write_slots;                                        /* … and what puts them there */
};

typedef struct gx_profile gx_profile;

#define GX_PROFILE_COUNT 3u
const gx_profile *gx_profile_get(unsigned index);        /* in the order of GX_PROFILE_*; index < GX_PROFILE_COUNT */
const gx_profile *gx_profile_find(const char *name);     /* NULL: none of that name */

#endif
