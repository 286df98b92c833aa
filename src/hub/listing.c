/* Reads listings. Everything in them is data: checked here, once. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "hub/listing.h"
#include "hub/model_id.h"

#define MAX_FILES ((size_t)100000)
#define MAX_FILE_NBYTES (UINT64_C(1) << 44) /* 16 TiB: more is a mistake, and would overflow sums */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const gx_hub_file *)a)->name, ((const gx_hub_file *)b)->name);
}

static bool is_hex(const char *text, size_t digits)
{
    return text && strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

/* {"rfilename": …, "size": …, "blobId": …, "lfs": {"sha256": …, "size": …}} */
static gx_status read_file(gx_hub_file *file, gx_arena *arena, yyjson_val *entry, const char *name, const char *what, gx_error *error)
{
    yyjson_val *lfs = yyjson_obj_get(entry, "lfs");
    yyjson_val *size = yyjson_is_obj(lfs) && yyjson_obj_get(lfs, "size") ? yyjson_obj_get(lfs, "size") : yyjson_obj_get(entry, "size");
    const char *sha256 = yyjson_get_str(yyjson_obj_get(lfs, "sha256")), *blob = yyjson_get_str(yyjson_obj_get(entry, "blobId"));
    *file = (gx_hub_file){.name = gx_arena_copy_string(arena, name), .nbytes = yyjson_get_uint(size)};
    if (!file->name)
        return gx_fail_memory(error);
    if (!yyjson_is_uint(size) || file->nbytes > MAX_FILE_NBYTES)
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the listing gives no size of '%s'", what, name);
    if (yyjson_is_obj(lfs) ? !is_hex(sha256, 64) : !is_hex(blob, 40))
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the listing gives no hash of '%s'", what, name);
    file->hash = yyjson_is_obj(lfs) ? GX_HASH_SHA256 : GX_HASH_SHA1;
    memcpy(file->etag, yyjson_is_obj(lfs) ? sha256 : blob, yyjson_is_obj(lfs) ? 65 : 41);
    return GX_OK;
}

static gx_status sort_files(gx_hub_listing *listing, const char *what, gx_error *error)
{
    if (listing->count) /* qsort wants an array even of nothing */
        qsort(listing->files, listing->count, sizeof *listing->files, compare_names);
    for (size_t i = 1; i < listing->count; i++)
        if (strcmp(listing->files[i - 1].name, listing->files[i].name) == 0)
            return gx_fail(error, GX_ERROR_NETWORK, "%s: the listing has '%s' twice", what, listing->files[i].name);
    return GX_OK;
}

static gx_status read_siblings(gx_hub_listing *listing, gx_arena *arena, yyjson_val *siblings, const char *what, gx_error *error)
{
    size_t index, count;
    yyjson_val *entry;
    if (!yyjson_is_arr(siblings))
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the Hub's answer has no list of files ('siblings')", what);
    if (yyjson_arr_size(siblings) > MAX_FILES)
        return gx_fail(error, GX_ERROR_NETWORK, "%s: the Hub's answer: %zu files; at most %zu are looked at", what, yyjson_arr_size(siblings), MAX_FILES);
    listing->files = GX_NEW_ARRAY(arena, gx_hub_file, yyjson_arr_size(siblings));
    if (!listing->files)
        return gx_fail_memory(error);
    yyjson_arr_foreach(siblings, index, count, entry)
    {
        yyjson_val *name = yyjson_obj_get(entry, "rfilename");
        if (!yyjson_is_str(name))
            return gx_fail(error, GX_ERROR_NETWORK, "%s: the Hub's answer has a file without a name", what);
        if (strlen(yyjson_get_str(name)) == yyjson_get_len(name) && gx_is_safe_file_name(yyjson_get_str(name)))
            GX_TRY(read_file(&listing->files[listing->count++], arena, entry, yyjson_get_str(name), what, error));
    }
    return sort_files(listing, what, error);
}

gx_status gx_hub_listing_parse(gx_hub_listing *out, gx_arena *arena, const char *json, size_t nbytes, const char *what, gx_error *error)
{
    yyjson_doc *doc = NULL;
    const char *commit = NULL;
    gx_hub_listing listing = {0};
    GX_TRY(gx_json_parse(&doc, what, json, nbytes, error));
    yyjson_val *root = yyjson_doc_get_root(doc);
    gx_status status = gx_json_get_string(root, what, "sha", &commit, error);
    if (status == GX_OK && !is_hex(commit, 40))
        status = gx_fail(error, GX_ERROR_NETWORK, "%s: the Hub's answer names no commit ('sha')", what);
    if (status == GX_OK && !(listing.commit = gx_arena_copy_string(arena, commit)))
        status = gx_fail_memory(error);
    if (status == GX_OK)
        status = read_siblings(&listing, arena, yyjson_obj_get(root, "siblings"), what, error);
    yyjson_doc_free(doc);
    if (status == GX_OK)
        *out = listing;
    return status;
}

static gx_status scan_folder(gx_hub_listing *listing, size_t *capacity, gx_arena *arena, const char *folder, const char *prefix, gx_error *error)
{
    char **names = NULL;
    size_t count = 0;
    GX_TRY(gx_folder_list(arena, folder, &names, &count, error));
    for (size_t i = 0; i < count; i++) {
        gx_file *file = NULL;
        char *path = gx_path_join(arena, folder, names[i]), *name = gx_arena_printf(arena, "%s%s", prefix, names[i]);
        if (listing->count == *capacity) {
            gx_hub_file *grown = GX_NEW_ARRAY(arena, gx_hub_file, *capacity = *capacity * 2 + 64);
            if (!grown)
                return gx_fail_memory(error);
            if (listing->count)
                memcpy(grown, listing->files, listing->count * sizeof *grown);
            listing->files = grown;
        }
        if (!path || !name)
            return gx_fail_memory(error);
        GX_TRY(gx_file_open(&file, path, error));
        listing->files[listing->count++] = (gx_hub_file){.name = name, .nbytes = gx_file_nbytes(file)};
        gx_file_close(file);
    }
    return GX_OK;
}

gx_status gx_hub_listing_scan(gx_hub_listing *out, gx_arena *arena, const char *folder, const char *commit, gx_error *error)
{
    gx_hub_listing listing = {.commit = gx_arena_copy_string(arena, commit)};
    size_t capacity = 0, count = 0;
    char **folders = NULL;
    if (!listing.commit)
        return gx_fail_memory(error);
    GX_TRY(scan_folder(&listing, &capacity, arena, folder, "", error));
    GX_TRY(gx_folder_list_folders(arena, folder, &folders, &count, error));
    for (size_t i = 0; i < count; i++) {
        char *path = gx_path_join(arena, folder, folders[i]), *prefix = gx_arena_printf(arena, "%s/", folders[i]);
        if (!path || !prefix)
            return gx_fail_memory(error);
        GX_TRY(scan_folder(&listing, &capacity, arena, path, prefix, error));
    }
    GX_TRY(sort_files(&listing, folder, error));
    *out = listing;
    return GX_OK;
}

gx_hub_file *gx_hub_listing_find(const gx_hub_listing *listing, const char *name)
{
    const gx_hub_file key = {.name = name};
    return listing->count ? bsearch(&key, listing->files, listing->count, sizeof *listing->files, compare_names) : NULL;
}
