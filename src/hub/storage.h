/*
 * Where a model's files lie on this machine, as Python's huggingface_hub lays them out, so that each finds what the other brought:
 *   CACHE/models--org--name/blobs/ETAG                the bytes
 *   CACHE/models--org--name/snapshots/COMMIT/NAME     a relative link to them
 *   CACHE/models--org--name/refs/REVISION             the commit
 *   CACHE/.locks/models--org--name/ETAG.lock          held while the bytes come
 * or, with a local folder, plain files in it, and what is known of them in LOCAL/.cache/huggingface/download/NAME.metadata. What is on its
 * way has names of our own beside them: ….gemma-onnx.partial, ….gemma-onnx.journal.
 */
#ifndef GX_HUB_STORAGE_H
#define GX_HUB_STORAGE_H

#include "hub/listing.h"
#include "hub/model_id.h"
#include "hub/settings.h"

typedef struct gx_storage {
    gx_arena *arena;
    const gx_hub_settings *settings;
    const char *repository; /* CACHE/models--org--name */
    const char *locks;      /* CACHE/.locks/models--org--name */
    const char *own;        /* for what is not finished, under names of our own: the repository's folder, or LOCAL/.cache/huggingface */
} gx_storage;

gx_status gx_storage_open(gx_storage *out, gx_arena *arena, const gx_hub_settings *settings, const gx_model_id *id, gx_error *error) GX_MUST_USE;

/* The commit that a revision was when it was last asked for; NULL in *out when it never was. */
gx_status gx_storage_known_commit(const gx_storage *storage, const char **out, const char *revision, gx_error *error) GX_MUST_USE;
gx_status gx_storage_note_commit(const gx_storage *storage, const char *revision, const char *commit, gx_error *error) GX_MUST_USE;

/* The folder of a commit's files, which need not be there. NULL: memory is out. */
const char *gx_storage_folder(const gx_storage *storage, const char *commit);

typedef struct gx_place {
    const char *path;  /* where a reader finds the file */
    const char *bytes; /* where its bytes go; with a local folder the same */
    const char *partial, *journal, *lock;
    const char *metadata; /* NULL: in the cache */
} gx_place;
gx_status gx_storage_place(const gx_storage *storage, gx_place *out, const char *commit, const gx_hub_file *file, gx_error *error) GX_MUST_USE;

/* Whether the bytes are here. In a local folder a file that nothing is known of is read and hashed. */
gx_status gx_storage_has(const gx_place *place, const gx_hub_file *file, bool *out, gx_error *error) GX_MUST_USE;

/* Makes the folders of a place. */
gx_status gx_storage_prepare(const gx_storage *storage, const gx_place *place, gx_error *error) GX_MUST_USE;

/* The bytes are where they belong: makes the link, or notes what they are. Nothing changes when that was done before. */
gx_status gx_storage_settle(const gx_storage *storage, const gx_place *place, const char *commit, const gx_hub_file *file, gx_error *error) GX_MUST_USE;

/* The bytes are there: what a run of ours left of them when another program brought them is of no use any more. */
gx_status gx_storage_tidy(const gx_place *place, gx_error *error) GX_MUST_USE;

/* A new hash that already holds what comes before the bytes: git names a small file by "blob SIZE\0" and its bytes. NULL: memory is out. */
gx_hash *gx_file_hash_new(const gx_hub_file *file);

#endif
