/* The cache's layout, and that of a local folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "hub/storage.h"

#define SMALL_LIMIT 4096
#define HASH_BUFFER_NBYTES ((size_t)1 << 20)

/* Backup programs leave out a folder with this file (https://bford.info/cachedir/). */
static const char cachedir_tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache.\n";

static char *repository_name(gx_arena *arena, const char *repository)
{
    const char *slash = strchr(repository, '/');
    return gx_arena_printf(arena, "models--%.*s--%s", (int)(slash - repository), repository, slash + 1);
}

gx_status gx_storage_open(gx_storage *out, gx_arena *arena, const gx_hub_settings *settings, const gx_model_id *id, gx_error *error)
{
    const char *name = repository_name(arena, id->repository);
    gx_storage storage = {.arena = arena, .settings = settings};
    storage.repository = name ? gx_path_join(arena, settings->cache_dir, name) : NULL;
    storage.locks = name ? gx_arena_printf(arena, "%s/.locks/%s", settings->cache_dir, name) : NULL;
    storage.own = settings->local_dir ? gx_path_join(arena, settings->local_dir, ".cache/huggingface") : storage.repository;
    if (!storage.repository || !storage.locks || !storage.own)
        return gx_fail_memory(error);
    *out = storage;
    return GX_OK;
}

/* ---- commits ---- */

static char *ref_path(const gx_storage *storage, const char *revision)
{
    return gx_arena_printf(storage->arena, "%s/refs/%s", storage->repository, revision);
}

gx_status gx_storage_known_commit(const gx_storage *storage, const char **out, const char *revision, gx_error *error)
{
    char *path = ref_path(storage, revision), *text = NULL;
    size_t nbytes = 0;
    *out = gx_is_commit(revision) ? revision : NULL;
    if (!path)
        return gx_fail_memory(error);
    if (*out || !gx_path_exists(path))
        return GX_OK;
    GX_TRY(gx_file_read_all(storage->arena, path, SMALL_LIMIT, &text, &nbytes, error));
    text[strcspn(text, " \r\n")] = 0;
    *out = gx_is_commit(text) ? text : NULL;
    return GX_OK;
}

/* The unfinished file does not lie beside the finished one: huggingface_hub takes all that is in refs/ for a reference. */
static gx_status write_small(const gx_storage *storage, const char *path, const char *text, gx_error *error)
{
    GX_TRY(gx_folder_create(storage->own, error));
    return gx_file_write_shared(path, storage->own, text, strlen(text), error);
}

static gx_status create_parent(gx_arena *arena, const char *path, gx_error *error)
{
    const size_t length = (size_t)(gx_path_name(path) - path);
    char *folder = gx_arena_copy_bytes(arena, path, length > 1 ? length - 1 : length);
    return folder ? gx_folder_create(folder, error) : gx_fail_memory(error);
}

gx_status gx_storage_note_commit(const gx_storage *storage, const char *revision, const char *commit, gx_error *error)
{
    const char *known = NULL;
    char *path = ref_path(storage, revision);
    if (!path)
        return gx_fail_memory(error);
    GX_TRY(gx_storage_known_commit(storage, &known, revision, error));
    if (storage->settings->local_dir || (known && strcmp(known, commit) == 0))
        return GX_OK;
    GX_TRY(create_parent(storage->arena, path, error));
    return write_small(storage, path, commit, error);
}

/* ---- places ---- */

const char *gx_storage_folder(const gx_storage *storage, const char *commit)
{
    return storage->settings->local_dir ? storage->settings->local_dir
                                        : gx_arena_printf(storage->arena, "%s/snapshots/%s", storage->repository, commit);
}

static void place_in_cache(const gx_storage *s, gx_place *p, const gx_hub_file *file)
{
    p->bytes = gx_arena_printf(s->arena, "%s/blobs/%s", s->repository, file->etag);
    p->partial = gx_arena_printf(s->arena, "%s/blobs/%s.gemma-onnx.partial", s->repository, file->etag);
    p->journal = gx_arena_printf(s->arena, "%s/blobs/%s.gemma-onnx.journal", s->repository, file->etag);
    p->lock = gx_arena_printf(s->arena, "%s/%s.lock", s->locks, file->etag);
}

static void place_in_folder(const gx_storage *s, gx_place *p, const gx_hub_file *file)
{
    const char *beside = gx_arena_printf(s->arena, "%s/.cache/huggingface/download/%s", s->settings->local_dir, file->name);
    if (!beside)
        return;
    p->bytes = p->path;
    p->partial = gx_arena_printf(s->arena, "%s.%s.gemma-onnx.partial", beside, file->etag);
    p->journal = gx_arena_printf(s->arena, "%s.%s.gemma-onnx.journal", beside, file->etag);
    p->lock = gx_arena_printf(s->arena, "%s.lock", beside);
    p->metadata = gx_arena_printf(s->arena, "%s.metadata", beside);
}

gx_status gx_storage_place(const gx_storage *s, gx_place *out, const char *commit, const gx_hub_file *file, gx_error *error)
{
    const char *folder = gx_storage_folder(s, commit);
    gx_place place = {.path = folder ? gx_path_join(s->arena, folder, file->name) : NULL};
    if (!place.path)
        return gx_fail_memory(error);
    if (s->settings->local_dir)
        place_in_folder(s, &place, file);
    else
        place_in_cache(s, &place, file);
    if (!place.bytes || !place.partial || !place.journal || !place.lock || (s->settings->local_dir && !place.metadata))
        return gx_fail_memory(error);
    *out = place;
    return GX_OK;
}

/* A local folder may be a repository of its own; huggingface_hub, too, keeps its notes out of it. */
static gx_status ignore_in_git(const gx_storage *s, gx_error *error)
{
    char *path = gx_path_join(s->arena, s->settings->local_dir, ".cache/huggingface/.gitignore");
    if (!path)
        return gx_fail_memory(error);
    return gx_path_exists(path) ? GX_OK : write_small(s, path, "*", error);
}

gx_status gx_storage_prepare(const gx_storage *s, const gx_place *place, gx_error *error)
{
    char *tag = gx_path_join(s->arena, s->settings->cache_dir, "CACHEDIR.TAG");
    if (!tag)
        return gx_fail_memory(error);
    GX_TRY(create_parent(s->arena, place->path, error));
    GX_TRY(create_parent(s->arena, place->bytes, error));
    GX_TRY(create_parent(s->arena, place->partial, error));
    GX_TRY(create_parent(s->arena, place->lock, error));
    if (place->metadata)
        return ignore_in_git(s, error);
    return gx_path_exists(tag) ? GX_OK : write_small(s, tag, cachedir_tag, error);
}

/* ---- what is there ---- */

gx_hash *gx_file_hash_new(const gx_hub_file *file)
{
    char head[32];
    gx_hash *hash = gx_hash_new(file->hash);
    const int length = snprintf(head, sizeof head, "blob %llu", (unsigned long long)file->nbytes);
    if (hash && file->hash == GX_HASH_SHA1)
        gx_hash_update(hash, head, (size_t)length + 1);
    return hash;
}

static gx_status has_hash(const char *path, const gx_hub_file *file, bool *out, gx_error *error)
{
    gx_file *source = NULL;
    char hex[65];
    GX_TRY(gx_file_open(&source, path, error));
    gx_hash *hash = gx_file_hash_new(file);
    char *buffer = gx_alloc(HASH_BUFFER_NBYTES, 1);
    gx_status status = hash && buffer ? GX_OK : gx_fail_memory(error);
    for (uint64_t at = 0; status == GX_OK && at < file->nbytes; at += HASH_BUFFER_NBYTES) {
        const size_t n = file->nbytes - at < HASH_BUFFER_NBYTES ? (size_t)(file->nbytes - at) : HASH_BUFFER_NBYTES;
        status = gx_file_read(source, at, buffer, n, error);
        if (status == GX_OK)
            gx_hash_update(hash, buffer, n);
    }
    if (status == GX_OK) {
        gx_hash_finish(hash, hex);
        *out = strcmp(hex, file->etag) == 0;
    }
    gx_free(buffer);
    gx_hash_free(hash);
    gx_file_close(source);
    return status;
}

/* huggingface_hub's three lines: commit, etag, the time when it was true; a file that changed since is not what they say. `commit` NULL: any. */
static bool is_noted(const gx_place *place, const gx_hub_file *file, const char *commit, const gx_path_info *info)
{
    gx_arena *arena = gx_arena_new();
    char *text = NULL;
    size_t nbytes = 0;
    bool noted = false;
    if (arena && gx_path_exists(place->metadata) && gx_file_read_all(arena, place->metadata, SMALL_LIMIT, &text, &nbytes, NULL) == GX_OK) {
        const char *etag = strchr(text, '\n'), *when = etag ? strchr(etag + 1, '\n') : NULL;
        noted = when && (!commit || (strlen(commit) == (size_t)(etag - text) && memcmp(text, commit, strlen(commit)) == 0)) && (size_t)(when - etag - 1) == strlen(file->etag) && memcmp(etag + 1, file->etag, strlen(file->etag)) == 0 &&
                info->modified - 1 <= strtod(when + 1, NULL);
    }
    gx_arena_free(arena);
    return noted;
}

gx_status gx_storage_has(const gx_place *place, const gx_hub_file *file, bool *out, gx_error *error)
{
    gx_path_info info;
    *out = gx_path_stat(place->bytes, &info) && info.nbytes == file->nbytes;
    if (!*out && !place->metadata) /* where links cannot be made, huggingface_hub leaves the file itself in the snapshot */
        *out = gx_path_stat(place->path, &info) && info.nbytes == file->nbytes;
    if (!*out || !place->metadata || is_noted(place, file, NULL, &info))
        return GX_OK;
    return has_hash(place->bytes, file, out, error);
}

static gx_status link_to_bytes(const gx_storage *s, const gx_place *place, const gx_hub_file *file, gx_error *error)
{
    gx_path_info info;
    gx_buffer target = {0};
    if (gx_path_stat(place->path, &info) && info.nbytes == file->nbytes)
        return GX_OK;
    for (const char *slash = strchr(file->name, '/'); slash; slash = strchr(slash + 1, '/'))
        gx_buffer_append_text(&target, "../");
    gx_buffer_printf(&target, "../../blobs/%s", file->etag);
    gx_status status = gx_buffer_check(&target, error);
    if (status == GX_OK)
        status = create_parent(s->arena, place->path, error);
    if (status == GX_OK)
        status = gx_link_create(gx_buffer_text(&target), place->path, s->repository, error);
    gx_buffer_deinit(&target);
    return status;
}

gx_status gx_storage_tidy(const gx_place *place, gx_error *error)
{
    gx_lock *lock = NULL;
    if (!gx_path_exists(place->partial) && !gx_path_exists(place->journal))
        return GX_OK;
    GX_TRY(gx_lock_try(&lock, place->lock, error));
    if (lock) {
        gx_path_remove(place->partial);
        gx_path_remove(place->journal);
    }
    gx_lock_release(lock);
    return GX_OK;
}

gx_status gx_storage_settle(const gx_storage *s, const gx_place *place, const char *commit, const gx_hub_file *file, gx_error *error)
{
    gx_path_info info;
    if (!place->metadata)
        return link_to_bytes(s, place, file, error);
    if (gx_path_stat(place->bytes, &info) && is_noted(place, file, commit, &info))
        return GX_OK;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *text = gx_arena_printf(s->arena, "%s\n%s\n%lld.%06ld\n", commit, file->etag, (long long)now.tv_sec, now.tv_nsec / 1000);
    if (!text)
        return gx_fail_memory(error);
    GX_TRY(create_parent(s->arena, place->metadata, error));
    return write_small(s, place->metadata, text, error);
}
