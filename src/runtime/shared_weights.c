/* Weights of several sessions in one place. ONNX Runtime shares what it packs only for initializers that were handed to it. */
#include "runtime/internal.h"

static gx_status check(const gx_runtime *runtime, OrtStatus *status, gx_error *error)
{
    return gx_ort_check(runtime->api, status, GX_ORT_SETTING_UP, "shared weights", error);
}

gx_status gx_shared_weights_new(gx_shared_weights **out, const gx_runtime *runtime, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_shared_weights *weights = arena ? GX_NEW(arena, gx_shared_weights) : NULL;
    if (!weights) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    *weights = (gx_shared_weights){.runtime = runtime, .arena = arena};
    const gx_status status = check(runtime, runtime->api->CreatePrepackedWeightsContainer(&weights->packed), error);
    if (status != GX_OK) {
        gx_shared_weights_free(weights);
        return status;
    }
    *out = weights;
    return GX_OK;
}

void gx_shared_weights_free(gx_shared_weights *weights)
{
    if (!weights)
        return;
    const OrtApi *api = weights->runtime->api;
    for (gx_shared_weight *weight = weights->first; weight; weight = weight->next)
        gx_ort_tensor_free(weights->runtime, weight->value);
    if (weights->packed)
        api->ReleasePrepackedWeightsContainer(weights->packed);
    gx_arena_free(weights->arena);
}

gx_status gx_shared_weights_add(gx_shared_weights *weights, const char *name, gx_dtype dtype, size_t rank, const int64_t *dims, const void *data,
                                size_t nbytes, gx_error *error)
{
    gx_shared_weight *weight = GX_NEW(weights->arena, gx_shared_weight);
    char *copy = gx_arena_copy_string(weights->arena, name);
    if (!weight || !copy)
        return gx_fail_memory(error);
    *weight = (gx_shared_weight){.name = copy};
    GX_TRY(gx_ort_tensor_wrap(&weight->value, weights->runtime, dtype, rank, dims, (void *)data, nbytes, error)); /* ONNX Runtime only reads it */
    weight->next = weights->first;
    weights->first = weight;
    return GX_OK;
}
