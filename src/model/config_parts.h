/* What the files that read config.json share. */
#ifndef GX_MODEL_CONFIG_PARTS_H
#define GX_MODEL_CONFIG_PARTS_H

#include "model/config.h"

/* More than any Gemma: what is above is a damaged file. */
#define GX_MAX_HEADS 4096u
#define GX_MAX_HEAD_DIM (1u << 16)
#define GX_MAX_INTERMEDIATE_SIZE (1u << 22)

/* What most layers have in common. */
typedef struct gx_attention_config {
    uint32_t heads, kv_heads, head_dim, intermediate_size;
    double scale;
    gx_rope full, sliding;
    uint64_t window;
    double softcap;
} gx_attention_config;

/* A size in 1 … limit; the default when the key is absent or null. */
gx_status gx_config_size(const gx_config_source *source, const char *key, uint32_t fallback, uint32_t limit, uint32_t *out, gx_error *error) GX_MUST_USE;

/* A positive number; *out stays when the key is absent or null. */
gx_status gx_config_positive(const gx_config_source *source, yyjson_val *object, const char *key, double *out, gx_error *error) GX_MUST_USE;

/* config_layers.c */
gx_status gx_config_read_rope(gx_model *model, gx_arena *arena, gx_attention_config *attention, const gx_config_source *source, gx_error *error) GX_MUST_USE;
gx_status gx_config_make_layers(gx_model *model, gx_arena *arena, const gx_attention_config *attention, const gx_config_source *source,
                                gx_error *error) GX_MUST_USE;

/* The heads of a layer are of another size than most. */
void gx_layer_set_heads(gx_layer *layer, uint32_t kv_heads, uint32_t head_dim);

/* The last `key` layers read the caches of the last layer before them that is of their kind. */
gx_status gx_config_share_caches(gx_model *model, const gx_config_source *source, const char *key, uint32_t fallback, gx_error *error) GX_MUST_USE;

/* hidden_size_per_layer_input, vocab_size_per_layer_input. */
gx_status gx_config_read_per_layer_inputs(gx_model *model, const gx_config_source *source, gx_error *error) GX_MUST_USE;

#endif
