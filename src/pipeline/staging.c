/* The list of outputs of one job. */
#include <string.h>
#include <unistd.h>

#include "pipeline/staging.h"

#define COPY_NBYTES ((size_t)1 << 20)

typedef struct staged {
    gx_output *output; /* NULL: committed */
    const char *path;
    struct staged *next;
} staged;

struct gx_staging {
    gx_arena *arena;
    staged *first, *last;
};

gx_staging *gx_staging_new(void)
{
    gx_arena *arena = gx_arena_new();
    gx_staging *staging = arena ? GX_NEW(arena, gx_staging) : NULL;
    if (staging)
        staging->arena = arena;
    else
        gx_arena_free(arena);
    return staging;
}

void gx_staging_free(gx_staging *staging)
{
    if (!staging)
        return;
    for (staged *entry = staging->first; entry; entry = entry->next)
        gx_output_discard(entry->output);
    gx_arena_free(staging->arena);
}

gx_status gx_staging_create(gx_staging *staging, gx_output **out, const char *path, gx_error *error)
{
    staged *entry = GX_NEW(staging->arena, staged);
    char *copy = gx_arena_copy_string(staging->arena, path);
    if (!entry || !copy)
        return gx_fail_memory(error);
    GX_TRY(gx_output_create(&entry->output, copy, error));
    entry->path = copy;
    if (staging->last)
        staging->last->next = entry;
    else
        staging->first = entry;
    staging->last = entry;
    *out = entry->output;
    return GX_OK;
}

gx_status gx_staging_write(gx_staging *staging, const char *path, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_output *output = NULL;
    GX_TRY(gx_staging_create(staging, &output, path, error));
    return gx_output_write(output, 0, bytes, nbytes, error);
}

static gx_status copy_bytes(gx_output *output, gx_file *file, void *buffer, gx_error *error)
{
    const uint64_t nbytes = gx_file_nbytes(file);
    for (uint64_t at = 0; at < nbytes;) {
        const size_t n = nbytes - at < COPY_NBYTES ? (size_t)(nbytes - at) : COPY_NBYTES;
        GX_TRY(gx_file_read(file, at, buffer, n, error));
        GX_TRY(gx_output_write(output, at, buffer, n, error));
        at += n;
    }
    return GX_OK;
}

gx_status gx_staging_copy(gx_staging *staging, const char *path, const char *source, gx_error *error)
{
    gx_output *output = NULL;
    gx_file *file = NULL;
    GX_TRY(gx_file_open(&file, source, error));
    void *buffer = gx_alloc(COPY_NBYTES, 1);
    gx_status status = buffer ? gx_staging_create(staging, &output, path, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = copy_bytes(output, file, buffer, error);
    gx_free(buffer);
    gx_file_close(file);
    return status;
}

gx_status gx_staging_commit(gx_staging *staging, gx_error *error)
{
    for (staged *entry = staging->first; entry; entry = entry->next) {
        gx_output *output = entry->output;
        entry->output = NULL; /* commit ends its life either way */
        const gx_status status = gx_output_commit(output, error);
        if (status == GX_OK)
            continue;
        for (staged *done = staging->first; done != entry; done = done->next)
            unlink(done->path);
        return status;
    }
    return GX_OK;
}
