/* GroupQueryAttention: appends to the caches and attends, in place where past and present are one buffer. */
#include "graph/builder.h"

/* The operator's own window counts the query itself, as Gemma's does. A cache shorter than the context holds the last rows,
 * oldest first, and the operator moves them (sliding_window_cache). */
const gx_value *gx_attend_grouped(gx_builder *b, const gx_heads *heads, const gx_layer *layer, uint32_t number)
{
    gx_graph *g = b->graph;
    const gx_value *past_key = gx_builder_past(b, layer, number, "key"), *past_value = gx_builder_past(b, layer, number, "value");
    gx_node *node = gx_graph_node(g, "com.microsoft:GroupQueryAttention", gx_builder_name(b, "attention"),
                                  GX_INPUTS(heads->q, heads->k, heads->v, past_key, past_value, b->seqlens_k, b->total_sequence_length,
                                            NULL, NULL, NULL, b->attention_bias));
    gx_node_int(g, node, "num_heads", layer->num_attention_heads);
    gx_node_int(g, node, "kv_num_heads", layer->num_key_value_heads);
    gx_node_float(g, node, "scale", layer->attention_scale);
    gx_node_int(g, node, "local_window_size", layer->sliding_window ? (int64_t)layer->sliding_window : -1);
    gx_node_int(g, node, "do_rotary", 0);
    if (layer->attention_softcap != 0)
        gx_node_float(g, node, "softcap", layer->attention_softcap);
    if (b->form && gx_static_cache_length(b->form, b->profile, layer) < b->form->max_length) {
        gx_node_int(g, node, "sliding_window_cache", 1);
        gx_builder_needs_onnxruntime(b, 29);
    }
    const gx_value *output = gx_node_output(g, node, NULL, b->activation, heads->q->shape);
    gx_builder_present(b, node, layer, number, "key");
    gx_builder_present(b, node, layer, number, "value");
    return output;
}
