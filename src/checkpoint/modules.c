/* modules.json of a sentence-transformers folder: [{"path": "2_Dense", "type": "….Dense"}]. What a module means is not known here, only where its
 * weights are. Folder names are data: a plain name in the checkpoint's own folder. */
#include <string.h>

#include "base/json.h"
#include "checkpoint/internal.h"

static gx_status read_module(gx_checkpoint *checkpoint, const char *list, yyjson_val *module, gx_error *error)
{
    yyjson_val *value = yyjson_obj_get(module, "path");
    const char *name = yyjson_get_str(value);
    if (name && !*name) /* the model itself */
        return GX_OK;
    if (!name || !gx_is_plain_name(name, yyjson_get_len(value)))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: a module's path is no plain folder name", list);
    char *file = gx_arena_printf(checkpoint->arena, "%s/%s/model.safetensors", checkpoint->folder, name);
    char *prefix = gx_arena_printf(checkpoint->arena, "%s/", name);
    if (!file || !prefix)
        return gx_fail_memory(error);
    return gx_path_exists(file) ? gx_safetensors_read_as(checkpoint, file, prefix, error) : GX_OK;
}

gx_status gx_modules_read(gx_checkpoint *checkpoint, gx_error *error)
{
    char *path = gx_path_join(checkpoint->arena, checkpoint->folder, GX_MODULES_NAME);
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return GX_OK;
    yyjson_doc *doc = NULL;
    GX_TRY(gx_json_read(&doc, path, GX_MODULES_LIMIT, error));
    size_t index, count;
    yyjson_val *module;
    gx_status status = yyjson_is_arr(yyjson_doc_get_root(doc)) ? GX_OK : gx_fail(error, GX_ERROR_FORMAT, "%s: the top level is no list", path);
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, module)
    {
        if (status == GX_OK)
            status = read_module(checkpoint, path, module, error);
    }
    yyjson_doc_free(doc);
    return status;
}
