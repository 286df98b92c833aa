/* The hashing thread. What the threads share is looked at inside the monitor; the reading and hashing is outside. */
#include <string.h>

#include "base/file.h"
#include "base/threads.h"
#include "hub/hasher.h"

#define STEP_NBYTES ((size_t)1 << 20)

typedef struct job {
    const gx_hub_file *file; /* NULL: not begun, or forgotten */
    const char *path;
    uint64_t contiguous, hashed;
    gx_hash_state state;
    gx_error error;
    gx_file *source; /* the thread's own, as the hash */
    gx_hash *hash;
} job;

struct gx_hasher {
    gx_monitor *monitor;
    gx_thread *thread;
    job *jobs;
    size_t count;
    job *busy; /* the thread is reading it: it may not be forgotten meanwhile */
    bool closing;
    char *buffer;
};

/* Worth a step: a good piece of it is there, or the rest. */
static bool has_work(const job *j)
{
    return j->file && j->state == GX_HASHING && (j->contiguous - j->hashed >= STEP_NBYTES || j->contiguous == j->file->nbytes);
}

static job *next_job(gx_hasher *h)
{
    for (size_t i = 0; i < h->count; i++)
        if (has_work(&h->jobs[i]))
            return &h->jobs[i];
    return NULL;
}

static gx_status hash_step(gx_hasher *h, job *j, uint64_t at, size_t nbytes, gx_error *error)
{
    if (!j->source)
        GX_TRY(gx_file_open(&j->source, j->path, error));
    if (!j->hash && !(j->hash = gx_file_hash_new(j->file)))
        return gx_fail_memory(error);
    GX_TRY(gx_file_read(j->source, at, h->buffer, nbytes, error));
    gx_hash_update(j->hash, h->buffer, nbytes);
    return GX_OK;
}

static void drop(job *j)
{
    gx_file_close(j->source);
    gx_hash_free(j->hash);
    j->source = NULL;
    j->hash = NULL;
}

static gx_hash_state judge(job *j)
{
    char hex[65];
    gx_hash_finish(j->hash, hex);
    return strcmp(hex, j->file->etag) == 0 ? GX_HASH_RIGHT : GX_HASH_WRONG;
}

/* Inside the monitor, but for the step itself. */
static void work(gx_hasher *h, job *j)
{
    const uint64_t at = j->hashed;
    const size_t nbytes = j->contiguous - at < STEP_NBYTES ? (size_t)(j->contiguous - at) : STEP_NBYTES;
    gx_error error = {0};
    h->busy = j;
    gx_monitor_leave(h->monitor);
    const gx_status status = hash_step(h, j, at, nbytes, &error);
    gx_monitor_enter(h->monitor);
    h->busy = NULL;
    j->hashed += nbytes;
    if (status != GX_OK) {
        j->state = GX_HASH_FAILED;
        j->error = error;
    } else if (j->hashed == j->file->nbytes) {
        j->state = judge(j);
    }
    if (j->state != GX_HASHING)
        drop(j);
    gx_monitor_notify(h->monitor);
}

static void run(void *context)
{
    gx_hasher *h = context;
    gx_monitor_enter(h->monitor);
    while (!h->closing) {
        job *j = next_job(h);
        if (j)
            work(h, j);
        else
            gx_monitor_wait(h->monitor);
    }
    gx_monitor_leave(h->monitor);
}

gx_status gx_hasher_open(gx_hasher **out, size_t count, gx_error *error)
{
    gx_hasher *h = gx_alloc(1, sizeof *h);
    if (!h)
        return gx_fail_memory(error);
    h->count = count;
    h->monitor = gx_monitor_new();
    h->jobs = gx_alloc(count + 1, sizeof *h->jobs);
    h->buffer = gx_alloc(STEP_NBYTES, 1);
    if (h->monitor && h->jobs && h->buffer)
        h->thread = gx_thread_start(run, h);
    if (!h->thread) {
        gx_hasher_close(h);
        return gx_fail_memory(error);
    }
    *out = h;
    return GX_OK;
}

void gx_hasher_close(gx_hasher *h)
{
    if (!h)
        return;
    if (h->thread) {
        gx_monitor_enter(h->monitor);
        h->closing = true;
        gx_monitor_notify(h->monitor);
        gx_monitor_leave(h->monitor);
        gx_thread_join(h->thread);
    }
    for (size_t i = 0; h->jobs && i < h->count; i++)
        drop(&h->jobs[i]);
    gx_monitor_free(h->monitor);
    gx_free(h->jobs);
    gx_free(h->buffer);
    gx_free(h);
}

void gx_hasher_begin(gx_hasher *h, size_t index, const char *path, const gx_hub_file *file)
{
    gx_monitor_enter(h->monitor);
    h->jobs[index] = (job){.file = file, .path = path};
    gx_monitor_notify(h->monitor);
    gx_monitor_leave(h->monitor);
}

void gx_hasher_advance(gx_hasher *h, size_t index, uint64_t contiguous)
{
    gx_monitor_enter(h->monitor);
    const bool had_work = has_work(&h->jobs[index]);
    h->jobs[index].contiguous = contiguous;
    if (!had_work && has_work(&h->jobs[index]))
        gx_monitor_notify(h->monitor);
    gx_monitor_leave(h->monitor);
}

void gx_hasher_forget(gx_hasher *h, size_t index)
{
    gx_monitor_enter(h->monitor);
    while (h->busy == &h->jobs[index])
        gx_monitor_wait(h->monitor);
    drop(&h->jobs[index]);
    h->jobs[index] = (job){0};
    gx_monitor_leave(h->monitor);
}

gx_hash_state gx_hasher_state(gx_hasher *h, size_t index, gx_error *error)
{
    gx_monitor_enter(h->monitor);
    const gx_hash_state state = h->jobs[index].state;
    if (state == GX_HASH_FAILED)
        gx_fail(error, h->jobs[index].error.status, "%s", h->jobs[index].error.message);
    gx_monitor_leave(h->monitor);
    return state;
}
