/* Looks into an output folder. */
#include "base/json.h"
#include "gemma_onnx.h"
#include "pipeline/output_folder.h"
#include "pipeline/static_document.h"

#define CONFIG_LIMIT (UINT64_C(16) << 20)

/* *doc NULL: there is no such file. */
static gx_status read_if_there(yyjson_doc **doc, char **path, gx_arena *arena, const char *folder, const char *name, gx_error *error)
{
    *path = gx_path_join(arena, folder, name);
    if (!*path)
        return gx_fail_memory(error);
    return gx_path_exists(*path) ? gx_json_read(doc, *path, CONFIG_LIMIT, error) : GX_OK;
}

static bool is_wanted(unsigned precisions, unsigned index)
{
    return precisions == 0 || precisions & 1u << index;
}

static gx_status add_dynamic(gx_model_file *files, size_t *count, gx_arena *arena, const char *folder, unsigned precisions, gx_error *error)
{
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        if (!is_wanted(precisions, i))
            continue;
        char *path = gx_arena_printf(arena, "%s/onnx/model%s.onnx", folder, gx_policy_suffix(i));
        if (!path)
            return gx_fail_memory(error);
        if (gx_path_exists(path))
            files[(*count)++] = (gx_model_file){.precision = gx_policy_name(i), .path = path, .folder = folder};
    }
    return GX_OK;
}

static gx_status add_static(gx_model_file *files, size_t *count, gx_arena *arena, const char *folder, unsigned precisions, gx_error *error)
{
    char *path = NULL;
    yyjson_doc *doc = NULL;
    GX_TRY(read_if_there(&doc, &path, arena, folder, GX_STATIC_DOCUMENT_NAME, error));
    yyjson_val *there = yyjson_obj_get(yyjson_doc_get_root(doc), "precisions");
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++)
        if (is_wanted(precisions, i) && yyjson_obj_get(there, gx_policy_name(i)))
            files[(*count)++] = (gx_model_file){.precision = gx_policy_name(i), .is_static = true, .path = path, .folder = folder};
    yyjson_doc_free(doc);
    return GX_OK;
}

gx_status gx_output_folder_models(gx_model_file files[GX_MAX_MODEL_FILES], size_t *count, gx_arena *arena, const char *folder,
                                  unsigned precisions, gx_error *error)
{
    *count = 0;
    GX_TRY(add_dynamic(files, count, arena, folder, precisions, error));
    GX_TRY(add_static(files, count, arena, folder, precisions, error));
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        bool found = !(precisions & 1u << i);
        for (size_t k = 0; k < *count && !found; k++)
            found = files[k].precision == gx_policy_name(i);
        if (!found)
            return gx_fail(error, GX_ERROR_ARGUMENT, "%s: there is no %s model in it; build it with -p %s", folder, gx_policy_name(i), gx_policy_name(i));
    }
    if (*count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: no onnx/model….onnx and no %s in it; is it a folder that build or convert wrote?", folder,
                       GX_STATIC_DOCUMENT_NAME);
    return GX_OK;
}

gx_status gx_output_folder_embeds(bool *out, const char *folder, gx_error *error)
{
    char *path = NULL;
    yyjson_doc *doc = NULL;
    gx_arena *arena = gx_arena_new();
    gx_status status = arena ? read_if_there(&doc, &path, arena, folder, "config.json", error) : gx_fail_memory(error);
    if (status == GX_OK)
        *out = yyjson_is_true(yyjson_obj_get(yyjson_doc_get_root(doc), "use_bidirectional_attention"));
    yyjson_doc_free(doc);
    gx_arena_free(arena);
    return status;
}

gx_status gx_output_folder_pick(gx_model_file *out, gx_arena *arena, const char *folder, unsigned precision, gx_error *error)
{
    gx_model_file files[GX_MAX_MODEL_FILES];
    size_t count = 0;
    GX_TRY(gx_output_folder_models(files, &count, arena, folder, precision, error));
    unsigned there = 0;
    for (size_t i = 0; i < count; i++)
        there |= gx_precision_from_name(files[i].precision);
    const char *name = gx_policy_name(gx_policy_preferred(there));
    size_t first = 0;
    while (files[first].precision != name)
        first++;
    *out = files[first];
    return GX_OK;
}

static void add_id(int64_t ids[GX_MAX_STOP_IDS], size_t *count, yyjson_val *value)
{
    if (!yyjson_is_int(value) || *count == GX_MAX_STOP_IDS)
        return;
    for (size_t i = 0; i < *count; i++)
        if (ids[i] == yyjson_get_sint(value))
            return;
    ids[(*count)++] = yyjson_get_sint(value);
}

static gx_status add_from(const char *name, int64_t ids[GX_MAX_STOP_IDS], size_t *count, gx_arena *arena, const char *folder, gx_error *error)
{
    char *path = NULL;
    yyjson_doc *doc = NULL;
    GX_TRY(read_if_there(&doc, &path, arena, folder, name, error));
    yyjson_val *eos = yyjson_obj_get(yyjson_doc_get_root(doc), "eos_token_id"), *value;
    size_t index, n;
    if (yyjson_is_arr(eos)) {
        yyjson_arr_foreach(eos, index, n, value) add_id(ids, count, value);
    } else {
        add_id(ids, count, eos);
    }
    yyjson_doc_free(doc);
    return GX_OK;
}

gx_status gx_output_folder_stop_ids(int64_t ids[GX_MAX_STOP_IDS], size_t *count, gx_arena *arena, const char *folder, gx_error *error)
{
    *count = 0;
    GX_TRY(add_from("generation_config.json", ids, count, arena, folder, error));
    return add_from("config.json", ids, count, arena, folder, error);
}
