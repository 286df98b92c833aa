/* Variants of the tiny checkpoints: a folder of our own with a changed config.json, a changed safetensors header. */
#ifndef TESTS_UNIT_MODEL_TINY_FOLDER_H
#define TESTS_UNIT_MODEL_TINY_FOLDER_H

#include "model/model.h"
#include "support/scratch.h"

#define TINY "tests/golden/tiny/"

typedef struct opened {
    gx_checkpoint *checkpoint;
    gx_model *model;
    gx_status status;
    gx_error error;
} opened;

static inline opened open_path(const char *path)
{
    opened o = {0};
    o.status = gx_checkpoint_open(&o.checkpoint, path, &o.error);
    if (o.status == GX_OK)
        o.status = gx_model_open(&o.model, o.checkpoint, &o.error);
    return o;
}

static inline void close_opened(opened *o)
{
    gx_model_close(o->model);
    gx_checkpoint_close(o->checkpoint);
}

/* A file's bytes; the caller frees. */
static inline char *read_bytes(const char *path, size_t *nbytes)
{
    gx_error error = {0};
    gx_file *file = NULL;
    check_ok(path, gx_file_open(&file, path, &error), &error);
    *nbytes = (size_t)gx_file_nbytes(file);
    char *bytes = gx_alloc(*nbytes + 1, 1);
    assert_non_null(bytes);
    check_ok(path, gx_file_read(file, 0, bytes, *nbytes, &error), &error);
    gx_file_close(file);
    return bytes;
}

/* `text` with the JSON merge patch (RFC 7386) applied; the caller frees. */
static inline char *merge_patch(const char *text, size_t nbytes, const char *patch, size_t *out_nbytes)
{
    yyjson_doc *doc = yyjson_read(text, nbytes, 0), *patch_doc = yyjson_read(patch, strlen(patch), 0);
    if (!doc || !patch_doc)
        fail_msg("no JSON: %s", patch);
    yyjson_mut_doc *merged = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(merged, yyjson_merge_patch(merged, yyjson_doc_get_root(doc), yyjson_doc_get_root(patch_doc)));
    char *out = yyjson_mut_write(merged, 0, out_nbytes);
    assert_non_null(out);
    yyjson_mut_doc_free(merged);
    yyjson_doc_free(patch_doc);
    yyjson_doc_free(doc);
    return out;
}

/* The scratch folder holds the tiny checkpoint `base`, its config.json and its tensors' header patched. */
static inline const char *make_variant(const char *base, const char *config_patch, const char *header_patch)
{
    char path[512];
    size_t nbytes = 0, new_nbytes = 0;
    snprintf(path, sizeof path, TINY "%s/config.json", base);
    char *old = read_bytes(path, &nbytes), *new = merge_patch(old, nbytes, config_patch, &new_nbytes);
    scratch_write("config.json", new, new_nbytes);
    gx_free(old);
    gx_free(new);
    snprintf(path, sizeof path, TINY "%s/model.safetensors", base);
    old = read_bytes(path, &nbytes);
    uint64_t header_nbytes = 0;
    memcpy(&header_nbytes, old, 8);
    new = merge_patch(old + 8, (size_t)header_nbytes, header_patch, &new_nbytes);
    const size_t data_nbytes = nbytes - 8 - (size_t)header_nbytes;
    char *whole = gx_alloc(8 + new_nbytes + data_nbytes, 1);
    assert_non_null(whole);
    header_nbytes = new_nbytes;
    memcpy(whole, &header_nbytes, 8);
    memcpy(whole + 8, new, new_nbytes);
    memcpy(whole + 8 + new_nbytes, old + nbytes - data_nbytes, data_nbytes);
    scratch_write("model.safetensors", whole, 8 + new_nbytes + data_nbytes);
    gx_free(whole);
    gx_free(old);
    gx_free(new);
    return scratch_folder;
}

static inline bool has_note(const gx_model *model, const char *words)
{
    for (size_t i = 0; i < model->note_count; i++)
        if (strstr(model->notes[i], words))
            return true;
    return false;
}

#endif
