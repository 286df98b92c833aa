/* Stages config.json, generation_config.json and the tokenizer's files. */
#include <string.h>

#include "model/config.h"
#include "pipeline/chat_template.h"
#include "pipeline/companions.h"
#include "pipeline/gguf_companions.h"
#include "pipeline/host_defaults.h"

#define CONFIG_LIMIT (UINT64_C(16) << 20)

/* What is taken from a folder that has it: the first with its chat template put in, the others unchanged. (Not modules.json: what it lists is in
 * the graph.) */
static const char *const companions[] = {
    "tokenizer_config.json",   "generation_config.json", "tokenizer.json",      "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json",      "chat_template.jinja", "chat_template.json",
    "config_sentence_transformers.json", "sentence_bert_config.json",
};

static void count_external_data(yyjson_mut_doc *doc, yyjson_mut_val *files, const gx_target *target)
{
    for (unsigned i = 0; i < target->graph_count; i++) {
        const gx_target_graph *graph = &target->graphs[i];
        yyjson_mut_obj_remove_key(files, graph->name);
        if (graph->data_files)
            yyjson_mut_obj_add_uint(doc, files, graph->name, graph->data_files);
    }
}

/* {"model_q4.onnx": 1}: how many external data files belong to each model that has its own; a page cannot list a folder. Entries
 * of an earlier build in the same folder stay. And which file is the default. */
static gx_status add_host_settings(yyjson_mut_doc *doc, const gx_plan *plan, yyjson_val *earlier, gx_error *error)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_val *settings = yyjson_mut_obj_get(root, "transformers.js_config");
    if (!yyjson_mut_is_obj(settings)) {
        yyjson_mut_obj_remove_key(root, "transformers.js_config");
        settings = yyjson_mut_obj_add_obj(doc, root, "transformers.js_config");
    }
    yyjson_mut_obj_remove_key(settings, "use_external_data_format");
    yyjson_mut_val *files = yyjson_mut_obj_add_obj(doc, settings, "use_external_data_format");
    if (!files)
        return gx_fail_memory(error);
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(earlier, index, count, key, value)
        yyjson_mut_obj_add(files, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
    for (unsigned t = 0; t < plan->target_count && !plan->request; t++)
        count_external_data(doc, files, &plan->targets[t]);
    return gx_host_defaults_add(doc, settings, files, plan->model, error);
}

/* Transformers.js makes up the caches' names from it, and knows no family's default. */
static gx_status add_layer_count(yyjson_mut_doc *config, const gx_model *model, gx_error *error)
{
    static const char key[] = "num_hidden_layers";
    yyjson_mut_val *root = yyjson_mut_doc_get_root(config);
    if (!yyjson_mut_obj_get(root, key) && !yyjson_mut_obj_add_uint(config, root, key, model->num_hidden_layers))
        return gx_fail_memory(error);
    return GX_OK;
}

static gx_status stage_config(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    char *path = gx_path_join(plan->arena, output_dir, "config.json");
    if (!path)
        return gx_fail_memory(error);
    yyjson_doc *earlier = NULL;
    if (gx_path_exists(path))
        GX_TRY(gx_json_read(&earlier, path, CONFIG_LIMIT, error));
    yyjson_val *settings = yyjson_obj_get(yyjson_doc_get_root(earlier), "transformers.js_config");
    char *text = NULL;
    size_t nbytes = 0;
    gx_status status = add_layer_count(plan->model->config, plan->model, error);
    const bool for_host = !plan->request || settings; /* Transformers.js has no use for static graphs, but for what was built beside them */
    if (status == GX_OK && for_host)
        status = gx_config_put_apart(plan->model->config, plan->model->family, error);
    if (status == GX_OK && for_host)
        status = add_host_settings(plan->model->config, plan, yyjson_obj_get(settings, "use_external_data_format"), error);
    if (status == GX_OK)
        status = gx_json_write(&text, &nbytes, plan->model->config, error);
    if (status == GX_OK)
        status = gx_staging_write(staging, path, text, nbytes, error);
    gx_free(text);
    yyjson_doc_free(earlier);
    return status;
}

const char *const *gx_companion_names(size_t *count)
{
    *count = sizeof companions / sizeof *companions;
    return companions;
}

static gx_status carry_files(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    const char *folder = gx_checkpoint_folder(plan->model->checkpoint);
    for (size_t i = 1; i < sizeof companions / sizeof *companions; i++) {
        char *from = gx_path_join(plan->arena, folder, companions[i]), *to = gx_path_join(plan->arena, output_dir, companions[i]);
        if (!from || !to)
            return gx_fail_memory(error);
        if (gx_path_exists(from))
            GX_TRY(gx_staging_copy(staging, to, from, error));
    }
    return gx_tokenizer_config_stage(staging, plan->arena, folder, output_dir, error);
}

gx_status gx_companions_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    GX_TRY(stage_config(staging, plan, output_dir, error));
    if (gx_checkpoint_get_format(plan->model->checkpoint) == GX_CHECKPOINT_GGUF)
        return gx_gguf_companions_stage(staging, plan, output_dir, error);
    return carry_files(staging, plan, output_dir, error);
}
