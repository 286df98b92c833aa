/* Keys and values of one sequence. What lies beyond `length` is room, or the remains of a pass that failed. */
#include "base/checked.h"
#include "reference/parts.h"

gx_reference_cache *gx_reference_cache_new(const gx_model *model)
{
    gx_reference_cache *cache = gx_alloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->model = model;
    cache->layers = gx_alloc(model->num_hidden_layers, sizeof *cache->layers);
    if (!cache->layers) {
        gx_free(cache);
        return NULL;
    }
    return cache;
}

void gx_reference_cache_free(gx_reference_cache *cache)
{
    if (!cache)
        return;
    for (uint32_t n = 0; n < cache->model->num_hidden_layers; n++) {
        gx_free(cache->layers[n].keys);
        gx_free(cache->layers[n].values);
    }
    gx_free(cache->layers);
    gx_free(cache);
}

size_t gx_reference_cache_length(const gx_reference_cache *cache)
{
    return cache->length;
}

static gx_status grow(float **values, size_t positions, uint64_t width, gx_error *error)
{
    uint64_t elements;
    if (!gx_mul_u64(positions, width, &elements) || elements > SIZE_MAX)
        return gx_fail_memory(error);
    float *larger = gx_realloc(*values, (size_t)elements, sizeof *larger);
    if (!larger)
        return gx_fail_memory(error);
    *values = larger;
    return GX_OK;
}

gx_status gx_reference_cache_reserve(gx_reference_cache *cache, size_t positions, gx_error *error)
{
    if (positions <= cache->capacity)
        return GX_OK;
    if (positions < cache->capacity + cache->capacity / 2)
        positions = cache->capacity + cache->capacity / 2;
    for (uint32_t n = 0; n < cache->model->num_hidden_layers; n++) {
        const gx_layer *layer = &cache->model->layers[n];
        if (!gx_layer_has_own_cache(cache->model, n))
            continue;
        const uint64_t width = (uint64_t)layer->num_key_value_heads * layer->head_dim;
        GX_TRY(grow(&cache->layers[n].keys, positions, width, error));
        GX_TRY(grow(&cache->layers[n].values, positions, width, error));
    }
    cache->capacity = positions;
    return GX_OK;
}
