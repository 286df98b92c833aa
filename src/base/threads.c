/* Threads over pthreads. */
#include <pthread.h>
#include <sched.h>

#include "base/arena.h"
#include "base/threads.h"

unsigned gx_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

typedef struct loop {
    pthread_mutex_t mutex;
    size_t next, items;
    gx_parallel_task task;
    void *context;
    size_t failed_item; /* the lowest; items: none */
    gx_status status;
    gx_error error;
} loop;

typedef struct worker {
    loop *loop;
    unsigned index;
    pthread_t thread;
} worker;

static bool take_item(loop *l, size_t *item)
{
    pthread_mutex_lock(&l->mutex);
    const bool taken = l->status == GX_OK && l->next < l->items;
    if (taken)
        *item = l->next++;
    pthread_mutex_unlock(&l->mutex);
    return taken;
}

static void record_failure(loop *l, size_t item, gx_status status, const gx_error *error)
{
    pthread_mutex_lock(&l->mutex);
    if (item < l->failed_item) {
        l->failed_item = item;
        l->status = status;
        l->error = *error;
    }
    pthread_mutex_unlock(&l->mutex);
}

static void *run_worker(void *context)
{
    const worker *w = context;
    for (size_t item; take_item(w->loop, &item);) {
        gx_error error = {0};
        const gx_status status = w->loop->task(w->loop->context, item, w->index, &error);
        if (status != GX_OK)
            record_failure(w->loop, item, status, &error);
    }
    return NULL;
}

static gx_status run_alone(size_t items, gx_parallel_task task, void *context, gx_error *error)
{
    for (size_t item = 0; item < items; item++)
        GX_TRY(task(context, item, 0, error));
    return GX_OK;
}

gx_status gx_parallel_for(size_t items, unsigned threads, gx_parallel_task task, void *context, gx_error *error)
{
    if (threads > items)
        threads = (unsigned)items;
    if (threads <= 1)
        return run_alone(items, task, context, error);
    worker *workers = gx_alloc(threads, sizeof *workers);
    if (!workers)
        return gx_fail_memory(error);
    loop l = {.mutex = PTHREAD_MUTEX_INITIALIZER, .items = items, .task = task, .context = context, .failed_item = items};
    unsigned started = 1;
    for (unsigned i = 0; i < threads; i++)
        workers[i] = (worker){.loop = &l, .index = i};
    while (started < threads && pthread_create(&workers[started].thread, NULL, run_worker, &workers[started]) == 0)
        started++;
    run_worker(&workers[0]); /* the caller works, too: with no second thread the work is done all the same */
    for (unsigned i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    gx_free(workers);
    if (l.status != GX_OK)
        return gx_fail(error, l.status, "%s", l.error.message);
    return GX_OK;
}

struct gx_turn {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t next;
};

gx_turn *gx_turn_new(void)
{
    gx_turn *turn = gx_alloc(1, sizeof *turn);
    if (turn) {
        pthread_mutex_init(&turn->mutex, NULL);
        pthread_cond_init(&turn->changed, NULL);
    }
    return turn;
}

void gx_turn_free(gx_turn *turn)
{
    if (!turn)
        return;
    pthread_cond_destroy(&turn->changed);
    pthread_mutex_destroy(&turn->mutex);
    gx_free(turn);
}

void gx_turn_wait(gx_turn *turn, size_t index)
{
    pthread_mutex_lock(&turn->mutex);
    while (turn->next != index)
        pthread_cond_wait(&turn->changed, &turn->mutex);
    pthread_mutex_unlock(&turn->mutex);
}

void gx_turn_done(gx_turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    turn->next++;
    pthread_cond_broadcast(&turn->changed);
    pthread_mutex_unlock(&turn->mutex);
}
