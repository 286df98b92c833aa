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

struct gx_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

gx_monitor *gx_monitor_new(void)
{
    gx_monitor *monitor = gx_alloc(1, sizeof *monitor);
    if (monitor) {
        pthread_mutex_init(&monitor->mutex, NULL);
        pthread_cond_init(&monitor->changed, NULL);
    }
    return monitor;
}

void gx_monitor_free(gx_monitor *monitor)
{
    if (!monitor)
        return;
    pthread_cond_destroy(&monitor->changed);
    pthread_mutex_destroy(&monitor->mutex);
    gx_free(monitor);
}

void gx_monitor_enter(gx_monitor *monitor)
{
    pthread_mutex_lock(&monitor->mutex);
}

void gx_monitor_leave(gx_monitor *monitor)
{
    pthread_mutex_unlock(&monitor->mutex);
}

void gx_monitor_wait(gx_monitor *monitor)
{
    pthread_cond_wait(&monitor->changed, &monitor->mutex);
}

void gx_monitor_notify(gx_monitor *monitor)
{
    pthread_cond_broadcast(&monitor->changed);
}

struct gx_thread {
    pthread_t thread;
    void (*main)(void *context);
    void *context;
};

static void *run_thread(void *context)
{
    const gx_thread *thread = context;
    thread->main(thread->context);
    return NULL;
}

gx_thread *gx_thread_start(void (*main)(void *context), void *context)
{
    gx_thread *thread = gx_alloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->main = main;
    thread->context = context;
    if (pthread_create(&thread->thread, NULL, run_thread, thread) != 0) {
        gx_free(thread);
        return NULL;
    }
    return thread;
}

void gx_thread_join(gx_thread *thread)
{
    if (!thread)
        return;
    pthread_join(thread->thread, NULL);
    gx_free(thread);
}

struct gx_turn {
    gx_monitor *monitor;
    size_t next;
};

gx_turn *gx_turn_new(void)
{
    gx_turn *turn = gx_alloc(1, sizeof *turn);
    if (turn && !(turn->monitor = gx_monitor_new())) {
        gx_free(turn);
        return NULL;
    }
    return turn;
}

void gx_turn_free(gx_turn *turn)
{
    if (!turn)
        return;
    gx_monitor_free(turn->monitor);
    gx_free(turn);
}

void gx_turn_wait(gx_turn *turn, size_t index)
{
    gx_monitor_enter(turn->monitor);
    while (turn->next != index)
        gx_monitor_wait(turn->monitor);
    gx_monitor_leave(turn->monitor);
}

void gx_turn_done(gx_turn *turn)
{
    gx_monitor_enter(turn->monitor);
    turn->next++;
    gx_monitor_notify(turn->monitor);
    gx_monitor_leave(turn->monitor);
}
