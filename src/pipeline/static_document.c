/* Writes gemma_static.json from the plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/document.h"
#include "pipeline/static_document.h"

/* What a host puts into an input, by its name. Caches are listed apart. */
static const struct {
    const char *name, *role;
} roles[] = {
    {"input_ids", "token ids; behind a short prompt, any id as padding"},
    {"seqlens_k", "row by row: decode: the position of the id; prefill at position 0: the ids that are no padding, minus 1; prefill behind others: total_sequence_length - 1"},
    {"total_sequence_length", "position of the call's first id (decode: of the row that is furthest) plus sequence_length"},
    {"position", "row by row, the position of the call's first id; the caches hold the positions before it"},
    {"last_index", "row by row, which id of the call the logits are of"},
    {"logits", "scores of the next id"},
    {"attention_mask", "1 for an id of the text, 0 for padding, on either side"},
    {"last_hidden_state", "of each id; without meaning at padding"},
    {"sentence_embedding", "row by row, of the text"},
};

static const char *role_of(const char *name)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].role;
    return NULL;
}

static const char *dtype_name(gx_dtype dtype)
{
    switch (dtype) {
    case GX_DTYPE_F32: return "float32";
    case GX_DTYPE_F16: return "float16";
    case GX_DTYPE_I32: return "int32";
    default: return "int64";
    }
}

static void add_value(yyjson_mut_doc *doc, yyjson_mut_val *list, const gx_value *value)
{
    const char *role = role_of(value->name);
    if (!role)
        return;
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_strcpy(doc, entry, "name", value->name);
    yyjson_mut_obj_add_str(doc, entry, "dtype", dtype_name(value->dtype));
    yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, entry, "shape");
    for (unsigned i = 0; i < value->shape.rank; i++)
        yyjson_mut_arr_add_int(doc, shape, value->shape.dims[i].number);
    yyjson_mut_obj_add_str(doc, entry, "role", role);
}

static const char *phase_of(const gx_plan *plan, const gx_target *target, unsigned index)
{
    if (plan->model->bidirectional)
        return "encode";
    return index + 1 == target->graph_count ? "decode" : "prefill";
}

static void add_graph(yyjson_mut_doc *doc, yyjson_mut_val *graphs, const gx_plan *plan, const gx_target *target, unsigned index)
{
    const gx_target_graph *graph = &target->graphs[index];
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, graphs);
    yyjson_mut_obj_add_str(doc, entry, "model", graph->name);
    yyjson_mut_obj_add_str(doc, entry, "phase", phase_of(plan, target, index));
    yyjson_mut_obj_add_uint(doc, entry, "sequence_length", graph->sequence_length);
    yyjson_mut_val *inputs = yyjson_mut_obj_add_arr(doc, entry, "inputs"), *outputs = yyjson_mut_obj_add_arr(doc, entry, "outputs");
    for (size_t i = 0; i < graph->graph->input_count; i++)
        add_value(doc, inputs, graph->graph->inputs[i]);
    for (size_t i = 0; i < graph->graph->output_count; i++)
        add_value(doc, outputs, graph->graph->outputs[i]);
}

static void add_precision(yyjson_mut_doc *doc, yyjson_mut_val *precisions, const gx_plan *plan, const gx_target *target)
{
    yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, precisions, target->policy->name);
    yyjson_mut_obj_add_str(doc, entry, "data", target->data_names[0]);
    if (!plan->model->bidirectional)
        yyjson_mut_obj_add_str(doc, entry, "cache_dtype", dtype_name(target->policy->activation));
    yyjson_mut_val *graphs = yyjson_mut_obj_add_arr(doc, entry, "graphs");
    for (unsigned i = 0; i < target->graph_count; i++)
        add_graph(doc, graphs, plan, target, i);
}

/* Names by pattern: past_key_values.<layer>.key|value go in, present.<layer>.key|value come out. */
static bool add_caches(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_plan *plan)
{
    const gx_static_form form = gx_static_request_form(plan->request);
    yyjson_mut_val *caches = yyjson_mut_obj_add_arr(doc, root, "caches");
    bool any_bounded = false;
    for (uint32_t n = 0; n < plan->model->num_hidden_layers; n++) {
        const gx_layer *layer = &plan->model->layers[n];
        if (!gx_layer_has_own_cache(plan->model, n))
            continue;
        const uint64_t length = gx_static_cache_length(&form, plan->profile, layer);
        const bool bounded = length < form.max_length;
        char name[64];
        any_bounded = any_bounded || bounded;
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, caches);
        yyjson_mut_obj_add_uint(doc, entry, "layer", n);
        static const char *const sides[2] = {"past", "present"}, *const prefixes[2] = {"past_key_values", "present"};
        for (int side = 0; side < 2; side++) {
            yyjson_mut_val *names = yyjson_mut_obj_add_arr(doc, entry, sides[side]);
            snprintf(name, sizeof name, "%s.%u.key", prefixes[side], n);
            yyjson_mut_arr_add_strcpy(doc, names, name);
            snprintf(name, sizeof name, "%s.%u.value", prefixes[side], n);
            yyjson_mut_arr_add_strcpy(doc, names, name);
        }
        yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, entry, "shape");
        yyjson_mut_arr_add_uint(doc, shape, form.batch_size);
        yyjson_mut_arr_add_uint(doc, shape, layer->num_key_value_heads);
        yyjson_mut_arr_add_uint(doc, shape, length);
        yyjson_mut_arr_add_uint(doc, shape, layer->head_dim);
        yyjson_mut_obj_add_uint(doc, entry, "sliding_window", layer->sliding_window);
        yyjson_mut_obj_add_str(doc, entry, "layout", !bounded ? "slots" : plan->profile->takes_position ? "ring" : "moved");
    }
    return any_bounded;
}

/* What a prefill call may be given. */
static void add_rules(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_plan *plan, bool any_bounded)
{
    const bool position = plan->profile->takes_position;
    yyjson_mut_val *rules = yyjson_mut_obj_add_obj(doc, root, "prefill");
    /* GroupQueryAttention moves a bounded cache's rows: padding would push real ones out. */
    yyjson_mut_obj_add_bool(doc, rules, "padding", position || !any_bounded);
    yyjson_mut_obj_add_bool(doc, rules, "rows_at_different_positions", position);
    /* A chunk behind a past. */
    yyjson_mut_obj_add_bool(doc, rules, "continues", position || plan->request->batch_size == 1);
}

static void fill(yyjson_mut_doc *doc, const gx_plan *plan)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    const gx_static_request *request = plan->request;
    const gx_model *model = plan->model;
    yyjson_mut_obj_add_uint(doc, root, "format", 1);
    yyjson_mut_obj_add_str(doc, root, "tool", "gemma-onnx");
    yyjson_mut_obj_add_str(doc, root, "version", gx_version());
    yyjson_mut_obj_add_str(doc, root, "family", model->family_name);
    yyjson_mut_obj_add_str(doc, root, "profile", plan->profile->name);
    yyjson_mut_obj_add_uint(doc, root, "batch_size", request->batch_size);
    yyjson_mut_obj_add_uint(doc, root, "max_length", request->max_length);
    yyjson_mut_obj_add_uint(doc, root, "vocab_size", model->vocab_size);
    yyjson_mut_obj_add_int(doc, root, "bos_token_id", model->bos_token_id);
    yyjson_mut_val *eos = yyjson_mut_obj_add_arr(doc, root, "eos_token_ids");
    for (size_t i = 0; i < model->eos_token_count; i++)
        yyjson_mut_arr_add_int(doc, eos, model->eos_token_ids[i]);
    if (!model->bidirectional)
        add_rules(doc, root, plan, add_caches(doc, root, plan));
    yyjson_mut_val *precisions = yyjson_mut_obj_add_obj(doc, root, "precisions");
    for (unsigned t = 0; t < plan->target_count; t++)
        add_precision(doc, precisions, plan, &plan->targets[t]);
}

static gx_status add_metadata(const gx_plan *plan, yyjson_mut_doc *doc, gx_error *error)
{
    char *line = yyjson_mut_write(doc, 0, NULL);
    if (!line)
        return gx_fail_memory(error);
    for (unsigned t = 0; t < plan->target_count; t++)
        for (unsigned i = 0; i < plan->targets[t].graph_count; i++)
            gx_graph_metadata_text(plan->targets[t].graphs[i].graph, "gemma_onnx.static", line);
    free(line);
    for (unsigned t = 0; t < plan->target_count; t++)
        for (unsigned i = 0; i < plan->targets[t].graph_count; i++)
            GX_TRY(gx_graph_check(plan->targets[t].graphs[i].graph, error));
    return GX_OK;
}

gx_status gx_static_document_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    yyjson_mut_doc *doc = gx_document_new();
    char *path = gx_path_join(plan->arena, output_dir, GX_STATIC_DOCUMENT_NAME), *text = NULL;
    size_t nbytes = 0;
    if (!doc || !path) {
        yyjson_mut_doc_free(doc);
        return gx_fail_memory(error);
    }
    fill(doc, plan);
    gx_status status = gx_json_write(&text, &nbytes, doc, error);
    if (status == GX_OK)
        status = gx_staging_write(staging, path, text, nbytes, error);
    if (status == GX_OK)
        status = add_metadata(plan, doc, error);
    gx_free(text);
    yyjson_mut_doc_free(doc);
    return status;
}
