/*
 * Of the precisions that are there, each device gets what was measured to work best on it (docs/runtimes.md). "dtype" is for every device
 * that "device_config" does not name, and it is the browser's: Transformers.js counts the bytes to come by it alone.
 */
#include <stdio.h>

#include "pipeline/host_defaults.h"
#include "quant/policy.h"

enum { FP32, FP16, Q4, Q4F16, Q8, INT8 };
typedef unsigned preference[GX_POLICY_COUNT];

/* A decoder reads all its weights for each token: bytes decide, on a processor. WebAssembly multiplies blocks of 4 or 8 bits twenty times slower than
 * fp32, which q8 unfolds to; a GPU may lack fp16, which fp16 and q4f16 fail without. */
static const preference on_cpu = {Q4, INT8, Q8, FP32, FP16, Q4F16}, in_wasm = {Q8, FP16, FP32, Q4, INT8, Q4F16}, on_gpu = {Q4, INT8, FP32, Q8, Q4F16, FP16};
/* What WebAssembly's memory has room for, when a model is large. */
static const preference in_little_room = {Q4, Q4F16, INT8, Q8, FP16, FP32};
/* An encoder reads them once a text. */
static const preference encoder = {Q8, FP32, INT8, FP16, Q4, Q4F16};

/* 4 GiB, less what the runtime itself takes. While a session with q8 opens, its weights are there as int8 and as fp32 (Gemma 3 270M: 1.47 GB
 * measured). What q4 has no room for, no precision has. */
#define WASM_ROOM UINT64_C(4100000000)
static bool unfolds_in_wasm(const gx_model *model)
{
    return 5 * model->parameters <= WASM_ROOM;
}

/* One of the files with weights of its own is there. */
static bool is_there(yyjson_mut_val *files, unsigned precision)
{
    static const char *const models[] = {"model", "decoder_model_merged"};
    char name[64];
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        snprintf(name, sizeof name, "%s%s.onnx", models[i], gx_policy_suffix(precision));
        if (yyjson_mut_obj_get(files, name))
            return true;
    }
    return false;
}

/* NULL: there is no model at all. */
static const char *pick(yyjson_mut_val *files, const preference order)
{
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++)
        if (is_there(files, order[i]))
            return gx_policy_name(order[i]);
    return NULL;
}

gx_status gx_host_defaults_add(yyjson_mut_doc *doc, yyjson_mut_val *settings, yyjson_mut_val *files, const gx_model *model, gx_error *error)
{
    const bool embeds = model->bidirectional;
    const char *of_page = pick(files, embeds ? encoder : unfolds_in_wasm(model) ? in_wasm : in_little_room);
    const struct {
        const char *device, *precision;
    } others[] = {{"cpu", pick(files, embeds ? encoder : on_cpu)}, {"webgpu", pick(files, embeds ? encoder : on_gpu)}};
    yyjson_mut_obj_remove_key(settings, "dtype");
    yyjson_mut_obj_remove_key(settings, "device_config");
    if (!of_page)
        return GX_OK;
    yyjson_mut_val *devices = yyjson_mut_obj(doc);
    bool made = yyjson_mut_obj_add_str(doc, settings, "dtype", of_page) && devices;
    for (size_t i = 0; i < sizeof others / sizeof *others && made; i++)
        if (others[i].precision != of_page)
            made = yyjson_mut_obj_add_str(doc, yyjson_mut_obj_add_obj(doc, devices, others[i].device), "dtype", others[i].precision);
    if (made && yyjson_mut_obj_size(devices) > 0)
        made = yyjson_mut_obj_add_val(doc, settings, "device_config", devices);
    return made ? GX_OK : gx_fail_memory(error);
}
