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

struct gx_profile {
    const char *name;
    int64_t opset, ir_version;             /* where no weight has blocks */
    int64_t block_opset, block_ir_version; /* blockwise int4 came with opset 21 */
    int64_t microsoft_opset;               /* 0: no operator of that domain */
    bool heads_first;                      /* q, k, v as [batch, heads, sequence, head_dim]; else [batch, sequence, heads * head_dim] */
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
    const gx_value *(*rotate)(gx_builder *b, const char *leaf, const gx_value *x, const gx_layer *layer, uint32_t heads);
    const gx_value *(*gelu)(gx_builder *b, const gx_value *x); /* fp32 */
    const gx_value *(*slots)(gx_builder *b, const gx_cache_kind *kind); /* where a call's keys go; NULL: the operator knows */
    /* Appends k and v to the caches, which it declares, and attends: like heads->q. */
    const gx_value *(*attend)(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number);
};

typedef struct gx_profile gx_profile;

#define GX_PROFILE_COUNT 3u
const gx_profile *gx_profile_get(unsigned index);        /* in the order of GX_PROFILE_*; index < GX_PROFILE_COUNT */
const gx_profile *gx_profile_find(const char *name);     /* NULL: none of that name */

#endif
