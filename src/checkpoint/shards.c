/* model.safetensors.index.json: {"weight_map": {"tensor": "model-00001-of-00002.safetensors"}}. Shard names are data: a
 * plain file name in the index's own folder. */
#include <string.h>

#include "base/json.h"
#include "checkpoint/internal.h"

#define INDEX_LIMIT (UINT64_C(64) << 20)

bool gx_is_plain_name(const char *name, size_t length)
{
    return length > 0 && strlen(name) == length && !strchr(name, '/') && !strchr(name, '\\') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool has_file(const gx_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->file_count; i++)
        if (strcmp(gx_checkpoint_file_name(checkpoint, i), name) == 0)
            return true;
    return false;
}

static gx_status open_shards(gx_checkpoint *checkpoint, const char *path, yyjson_val *map, gx_error *error)
{
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(map, index, count, key, value)
    {
        const char *name = yyjson_get_str(value);
        if (!name || !gx_is_plain_name(name, yyjson_get_len(value)))
            return gx_fail(error, GX_ERROR_FORMAT, "%s: the shard of '%.300s' is no plain file name", path, yyjson_get_str(key));
        if (has_file(checkpoint, name))
            continue;
        char *shard = gx_path_join(checkpoint->arena, checkpoint->folder, name);
        if (!shard)
            return gx_fail_memory(error);
        GX_TRY(gx_safetensors_read(checkpoint, shard, error));
    }
    return GX_OK;
}

static gx_status check_map(const gx_checkpoint *checkpoint, const char *path, yyjson_val *map, gx_error *error)
{
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(map, index, count, key, value)
    {
        const gx_tensor *tensor = gx_checkpoint_find(checkpoint, yyjson_get_str(key));
        if (!tensor || strcmp(gx_checkpoint_file_name(checkpoint, tensor->file), yyjson_get_str(value)) != 0)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%.300s' is not in '%.300s'", path, yyjson_get_str(key), yyjson_get_str(value));
    }
    return GX_OK;
}

gx_status gx_shards_read(gx_checkpoint *checkpoint, const char *path, gx_error *error)
{
    yyjson_doc *doc = NULL;
    GX_TRY(gx_json_read(&doc, path, INDEX_LIMIT, error));
    yyjson_val *map = yyjson_obj_get(yyjson_doc_get_root(doc), "weight_map");
    gx_status status = GX_OK;
    if (!yyjson_is_obj(map) || yyjson_obj_size(map) == 0)
        status = gx_fail(error, GX_ERROR_FORMAT, "%s: no 'weight_map'", path);
    if (status == GX_OK)
        status = open_shards(checkpoint, path, map, error);
    if (status == GX_OK)
        status = gx_checkpoint_sort(checkpoint, error);
    if (status == GX_OK)
        status = check_map(checkpoint, path, map, error);
    yyjson_doc_free(doc);
    return status;
}
