/* Key and value caches as graph inputs and outputs. */
#include <stdio.h>

#include "graph/builder.h"

uint64_t gx_static_cache_length(const gx_static_form *form, const gx_profile *profile, const gx_layer *layer)
{
    const bool readable = profile->attention.by_bias || !layer->shares_cache; /* only the operator knows where it moved what */
    if (!form->bounded || layer->sliding_window == 0 || !readable)
        return form->max_length;
    /* The first query of a call sees its window, and the call's last key must not have overwritten any of it. */
    const uint64_t length = layer->sliding_window + profile->window_slack + (profile->window_holds_call ? form->longest_call - 1 : 0);
    return length < form->max_length ? length : form->max_length;
}

static gx_shape cache_shape(const gx_builder *b, const gx_layer *layer, gx_dim dynamic_length)
{
    const gx_dim length = b->form ? gx_dim_number(gx_static_cache_length(b->form, b->profile, layer)) : dynamic_length;
    return GX_SHAPE(b->batch, gx_dim_number(layer->num_key_value_heads), length, gx_dim_number(layer->head_dim));
}

/* 0: keys, 1: values */
static unsigned side_of(const char *what)
{
    return what[0] == 'v';
}

const gx_value *gx_builder_past(gx_builder *b, const gx_layer *layer, uint32_t number, const char *what)
{
    char name[64];
    const gx_value **past = &b->caches[number].past[side_of(what)];
    if (!*past) {
        snprintf(name, sizeof name, "past_key_values.%u.%s", number, what);
        *past = gx_graph_input(b->graph, name, b->activation, cache_shape(b, layer, b->past));
    }
    return *past;
}

const gx_value *gx_builder_present(gx_builder *b, gx_node *node, const gx_layer *layer, uint32_t number, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "present.%u.%s", number, what);
    const gx_value *present = gx_node_output(b->graph, node, name, b->activation, cache_shape(b, layer, b->total));
    gx_graph_output(b->graph, present);
    b->caches[number].present[side_of(what)] = present;
    return present;
}

const gx_value *gx_builder_shared(const gx_builder *b, const gx_layer *layer, const char *what)
{
    return b->caches[layer->cache_layer].present[side_of(what)];
}
