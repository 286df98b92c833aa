/* Looks into an output folder. */
#include "base/json.h"
#include "pipeline/output_folder.h"

#define CONFIG_LIMIT (UINT64_C(16) << 20)

static gx_status model_path(char **out, gx_arena *arena, const char *folder, unsigned index, gx_error *error)
{
    *out = gx_arena_printf(arena, "%s/onnx/model%s.onnx", folder, gx_policy_suffix(index));
    return *out ? GX_OK : gx_fail_memory(error);
}

gx_status gx_output_folder_models(gx_model_file files[GX_POLICY_COUNT], size_t *count, gx_arena *arena, const char *folder,
                                  unsigned precisions, gx_error *error)
{
    *count = 0;
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        char *path = NULL;
        if (precisions != 0 && !(precisions & 1u << i))
            continue;
        GX_TRY(model_path(&path, arena, folder, i, error));
        if (gx_path_exists(path))
            files[(*count)++] = (gx_model_file){.precision = gx_policy_name(i), .path = path};
        else if (precisions != 0)
            return gx_fail(error, GX_ERROR_ARGUMENT, "%s: there is no such file; build it with -p %s", path, gx_policy_name(i));
    }
    if (*count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: no onnx/model….onnx in it; is it a folder that build wrote?", folder);
    return GX_OK;
}

/* Small and quick first. */
static const unsigned preference[GX_POLICY_COUNT] = {2, 4, 0, 1, 3};

gx_status gx_output_folder_pick(gx_model_file *out, gx_arena *arena, const char *folder, unsigned precision, gx_error *error)
{
    gx_model_file files[GX_POLICY_COUNT];
    size_t count = 0;
    GX_TRY(gx_output_folder_models(files, &count, arena, folder, precision, error));
    for (unsigned p = 0; p < GX_POLICY_COUNT; p++) {
        for (size_t i = 0; i < count; i++) {
            if (files[i].precision == gx_policy_name(preference[p])) {
                *out = files[i];
                return GX_OK;
            }
        }
    }
    GX_BUG("a precision without a place in the preference");
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
    char *path = gx_path_join(arena, folder, name);
    yyjson_doc *doc = NULL;
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return GX_OK;
    GX_TRY(gx_json_read(&doc, path, CONFIG_LIMIT, error));
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
