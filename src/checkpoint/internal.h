/* What the readers of one format fill, and checkpoint.c owns. */
#ifndef GX_CHECKPOINT_INTERNAL_H
#define GX_CHECKPOINT_INTERNAL_H

#include "checkpoint/checkpoint.h"

/* Far beyond any model; what a hostile header may ask for at most. */
#define GX_MAX_TENSORS ((size_t)1 << 16)
#define GX_MAX_NAME_NBYTES ((size_t)512) /* longer ones would push the reason out of an error message */

struct gx_checkpoint {
    gx_arena *arena;
    gx_checkpoint_format format;
    const char *path, *folder;
    bool headers_only;
    gx_file **files;
    size_t file_count, file_capacity;
    gx_tensor *tensors; /* on the heap while it grows */
    size_t tensor_count, tensor_capacity;
    const gx_tensor **by_name; /* sorted; NULL: not yet */
    gx_gguf_value *metadata;
    size_t metadata_count;
};

/* Opens a file and adds it; *index is its number. */
gx_status gx_checkpoint_add_file(gx_checkpoint *checkpoint, const char *path, unsigned *index, gx_error *error) GX_MUST_USE;

/* Adds a tensor whose name is in the arena, after checking its elements and that its bytes are inside the file. */
gx_status gx_checkpoint_add_tensor(gx_checkpoint *checkpoint, const gx_tensor *tensor, gx_error *error) GX_MUST_USE;

/* Sorts what was added and refuses duplicates and overlaps; gx_checkpoint_find works from here on. Nothing may be added after it. */
gx_status gx_checkpoint_sort(gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;

/* modules.c: the weights of the modules that a sentence-transformers folder has behind its model, "<folder>/<tensor>". Nothing without modules.json. */
gx_status gx_modules_read(gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;

/* Data from a JSON file: a file's or folder's name without a path in it. */
bool gx_is_plain_name(const char *name, size_t length);

/* safetensors.c, npz.c: one file. shards.c: an index. gguf.c: a file, and the other parts of a split model. */
gx_status gx_safetensors_read(gx_checkpoint *checkpoint, const char *path, gx_error *error) GX_MUST_USE;
gx_status gx_safetensors_read_as(gx_checkpoint *checkpoint, const char *path, const char *prefix, gx_error *error) GX_MUST_USE; /* in front of every name */
gx_status gx_shards_read(gx_checkpoint *checkpoint, const char *index_path, gx_error *error) GX_MUST_USE;
gx_status gx_npz_read(gx_checkpoint *checkpoint, const char *path, gx_error *error) GX_MUST_USE;
gx_status gx_gguf_read(gx_checkpoint *checkpoint, const char *path, gx_error *error) GX_MUST_USE;

#endif
