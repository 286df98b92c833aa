/* {"model": "/absolute/path"} */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/document.h"
#include "pipeline/local_source.h"

#define SIDE_FILE_LIMIT (UINT64_C(64) << 10)

/* A file that is a link stays one: in a cache of the Hub it leads to a name that is a hash, which nobody would know for a GGUF. NULL: memory is out. */
static const char *absolute_path(gx_arena *arena, const char *path)
{
    char absolute[PATH_MAX];
    const char *name = gx_path_is_folder(path) ? "" : gx_path_name(path);
    const char *folder = name == path ? "." : gx_arena_copy_bytes(arena, path, strlen(path) - strlen(name));
    if (!folder || !realpath(folder, absolute))
        return folder ? path : NULL;
    return *name ? gx_path_join(arena, absolute, name) : gx_arena_copy_string(arena, absolute);
}

gx_status gx_local_source_stage(gx_staging *staging, gx_arena *arena, const char *output_dir, const char *model_path, gx_error *error)
{
    char *path = gx_path_join(arena, output_dir, GX_LOCAL_SOURCE_NAME);
    const char *model = absolute_path(arena, model_path);
    yyjson_mut_doc *doc = gx_document_new();
    char *text = NULL;
    size_t nbytes = 0;
    gx_status status = path && model && doc ? GX_OK : gx_fail_memory(error);
    if (status == GX_OK) {
        yyjson_mut_obj_add_strcpy(doc, yyjson_mut_doc_get_root(doc), "model", model);
        status = gx_json_write(&text, &nbytes, doc, error);
    }
    if (status == GX_OK)
        status = gx_staging_write(staging, path, text, nbytes, error);
    gx_free(text);
    yyjson_mut_doc_free(doc);
    return status;
}

static gx_status read_noted(const char **out, gx_arena *arena, const char *output_dir, gx_error *error)
{
    char *path = gx_path_join(arena, output_dir, GX_LOCAL_SOURCE_NAME);
    *out = NULL;
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return GX_OK;
    yyjson_doc *doc = NULL;
    const char *model = NULL;
    GX_TRY(gx_json_read(&doc, path, SIDE_FILE_LIMIT, error));
    gx_status status = gx_json_get_string(yyjson_doc_get_root(doc), GX_LOCAL_SOURCE_NAME, "model", &model, error);
    if (status == GX_OK && model) {
        *out = gx_arena_copy_string(arena, model);
        status = *out ? GX_OK : gx_fail_memory(error);
    }
    yyjson_doc_free(doc);
    return status;
}

gx_status gx_judge_locate(const char **out, gx_arena *arena, const gx_hub_request *named, const char *output_dir, gx_error *error)
{
    return named->model ? gx_model_locate(out, arena, named, error) : read_noted(out, arena, output_dir, error);
}
