/* Writes the manifest. */
#include <string.h>

#include "pipeline/document.h"
#include "pipeline/manifest.h"

static void add_source(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_plan *plan, const gx_sha256_hex *hashes)
{
    const gx_checkpoint *checkpoint = plan->model->checkpoint;
    yyjson_mut_val *source = yyjson_mut_obj_add_obj(doc, root, "source");
    yyjson_mut_obj_add_str(doc, source, "family", plan->model->family_name);
    yyjson_mut_obj_add_str(doc, source, "format", gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF ? "gguf" : "safetensors");
    yyjson_mut_obj_add_uint(doc, source, "parameters", plan->model->parameters);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(doc, source, "files");
    for (size_t i = 0; i < gx_checkpoint_file_count(checkpoint); i++) {
        const gx_file *file = gx_checkpoint_file(checkpoint, i);
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, files);
        yyjson_mut_obj_add_strcpy(doc, entry, "name", gx_checkpoint_file_name(checkpoint, i));
        yyjson_mut_obj_add_uint(doc, entry, "bytes", gx_file_nbytes(file));
        yyjson_mut_obj_add_str(doc, entry, "sha256", hashes[i]);
    }
}

static void add_tensor(yyjson_mut_doc *doc, yyjson_mut_val *tensors, const gx_stored *stored)
{
    char scheme[96];
    gx_scheme_name(&stored->scheme, scheme, sizeof scheme);
    uint64_t nbytes = 0;
    for (int part = 0; part < GX_PART_COUNT; part++)
        nbytes += stored->parts[part].nbytes;
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, tensors);
    yyjson_mut_obj_add_strcpy(doc, entry, "name", stored->name);
    yyjson_mut_val *sources = yyjson_mut_obj_add_arr(doc, entry, "sources");
    for (unsigned i = 0; i < stored->recipe.source_count; i++)
        yyjson_mut_arr_add_strcpy(doc, sources, stored->recipe.sources[i]->tensor->name);
    yyjson_mut_obj_add_strcpy(doc, entry, "scheme", scheme);
    yyjson_mut_obj_add_uint(doc, entry, "bytes", nbytes);
}

static void add_target(yyjson_mut_doc *doc, yyjson_mut_val *precisions, const gx_plan *plan, const gx_target *target, const gx_build_options *options)
{
    yyjson_mut_val *entry = yyjson_mut_obj_add_obj(doc, precisions, target->policy->name);
    if (!plan->request)
        yyjson_mut_obj_add_strcpy(doc, entry, "model", target->graphs[0].name);
    if (plan->request || target->graph_count > 1) {
        yyjson_mut_val *models = yyjson_mut_obj_add_arr(doc, entry, "models");
        for (unsigned i = 0; i < target->graph_count; i++)
            yyjson_mut_arr_add_strcpy(doc, models, target->graphs[i].name);
    }
    yyjson_mut_val *data = yyjson_mut_obj_add_arr(doc, entry, "data");
    for (unsigned i = 0; i < target->data_files; i++) {
        yyjson_mut_val *file = yyjson_mut_arr_add_obj(doc, data);
        yyjson_mut_obj_add_strcpy(doc, file, "name", target->data_names[i]);
        yyjson_mut_obj_add_uint(doc, file, "bytes", target->data_nbytes[i]);
    }
    yyjson_mut_obj_add_str(doc, entry, "profile", plan->profile->name);
    if (plan->model->bidirectional) /* 0: all */
        yyjson_mut_obj_add_uint(doc, entry, "embedding_dim", options->embedding_dim);
    else
        yyjson_mut_obj_add_str(doc, entry, "logits", options->all_logits ? "all" : "last");
    yyjson_mut_obj_add_int(doc, entry, "accuracy_level", options->accuracy_level);
    if (gx_policy_has_four_bits(target->policy)) { /* 0: the default */
        yyjson_mut_obj_add_uint(doc, entry, "block_size", options->block_size);
        yyjson_mut_obj_add_uint(doc, entry, "embedding_bits", options->embedding_bits);
    }
    yyjson_mut_obj_add_real(doc, entry, "residual_scale", target->residual_scale);
    yyjson_mut_val *tensors = yyjson_mut_obj_add_arr(doc, entry, "tensors");
    for (size_t i = 0; i < target->stored_count; i++)
        add_tensor(doc, tensors, target->stored[i]);
}

static bool is_same_file(yyjson_val *old, const gx_file *file, const char *hash)
{
    const char *old_hash = yyjson_get_str(yyjson_obj_get(old, "sha256"));
    if (hash)
        return old_hash && strcmp(old_hash, hash) == 0;
    return yyjson_get_uint(yyjson_obj_get(old, "bytes")) == gx_file_nbytes(file);
}

bool gx_manifest_is_same_origin(yyjson_val *old, const gx_plan *plan, const gx_sha256_hex *hashes)
{
    const char *version = yyjson_get_str(yyjson_obj_get(old, "version"));
    yyjson_val *files = yyjson_obj_get(yyjson_obj_get(old, "source"), "files");
    const size_t count = gx_checkpoint_file_count(plan->model->checkpoint);
    if (!version || strcmp(version, gx_version()) != 0 || yyjson_arr_size(files) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_same_file(yyjson_arr_get(files, i), gx_checkpoint_file(plan->model->checkpoint, i), hashes ? hashes[i] : NULL))
            return false;
    return true;
}

static void keep_old(yyjson_mut_doc *doc, yyjson_mut_val *precisions, yyjson_val *old)
{
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(old, index, count, key, value)
    {
        if (!yyjson_mut_obj_get(precisions, yyjson_get_str(key)))
            yyjson_mut_obj_add(precisions, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
    }
}

yyjson_val *gx_manifest_kept(yyjson_val *old, const gx_plan *plan, const gx_sha256_hex *hashes)
{
    return gx_manifest_is_same_origin(old, plan, hashes) ? yyjson_obj_get(old, "precisions") : NULL;
}

static void add_genai(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_genai_choice *genai, yyjson_val *old)
{
    const char *precision = genai->precision ? genai->precision : yyjson_get_str(yyjson_obj_get(old, "genai_precision"));
    if (precision)
        yyjson_mut_obj_add_strcpy(doc, root, "genai_precision", precision);
}

gx_status gx_manifest_make(char **out, size_t *nbytes, const gx_plan *plan, const gx_sha256_hex *hashes, const gx_build_options *options,
                           const gx_genai_choice *genai, yyjson_val *old, gx_error *error)
{
    yyjson_mut_doc *doc = gx_document_new();
    if (!doc)
        return gx_fail_memory(error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, root, "tool", "gemma-onnx");
    yyjson_mut_obj_add_str(doc, root, "version", gx_version());
    add_source(doc, root, plan, hashes);
    const bool same_origin = gx_manifest_is_same_origin(old, plan, hashes);
    add_genai(doc, root, genai, same_origin ? old : NULL);
    yyjson_mut_val *forms[2] = {yyjson_mut_obj_add_obj(doc, root, "precisions"), yyjson_mut_obj_add_obj(doc, root, "static_precisions")};
    for (unsigned t = 0; t < plan->target_count; t++)
        add_target(doc, forms[plan->request != NULL], plan, &plan->targets[t], options);
    if (same_origin) {
        keep_old(doc, forms[0], yyjson_obj_get(old, "precisions"));
        if (!plan->request) /* a folder holds one pair */
            keep_old(doc, forms[1], yyjson_obj_get(old, "static_precisions"));
    }
    if (yyjson_mut_obj_size(forms[1]) == 0)
        yyjson_mut_obj_remove_key(root, "static_precisions");
    const gx_status status = gx_json_write(out, nbytes, doc, error);
    yyjson_mut_doc_free(doc);
    return status;
}
