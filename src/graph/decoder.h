/* The dynamic-shape decoder graph of a bound model: the contract that Transformers.js, ONNX Runtime GenAI and plain ONNX
 * Runtime share. Inputs input_ids, attention_mask, position_ids, past_key_values.N.key|value; outputs logits and
 * present.N.key|value. */
#ifndef GX_GRAPH_DECODER_H
#define GX_GRAPH_DECODER_H

#include "graph/graph.h"
#include "quant/policy.h"

/* What errors cost in the inputs of weights that read the residual stream; of the model's hidden_size each. */
typedef struct gx_decoder_importance {
    const float **qkv;     /* [num_hidden_layers] */
    const float **gate_up; /* [num_hidden_layers] */
    const float *head;
} gx_decoder_importance;

typedef struct gx_decoder_options {
    const gx_policy *policy; /* types and schemes of one precision */
    bool all_logits;         /* logits of every position instead of the last one */
    double residual_scale;   /* the residual stream holds x times this power of two; 1: as it is */
    int accuracy_level;      /* MatMulNBits: 0, 1 or 4 */
    const gx_decoder_importance *importance; /* NULL: all alike */
} gx_decoder_options;

/* The graph lives in `arena`; `model` must outlive it. */
gx_status gx_decoder_build(gx_graph **out, gx_arena *arena, const gx_model *model, const gx_decoder_options *options, gx_error *error) GX_MUST_USE;

#endif
