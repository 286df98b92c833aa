/* A parallel for over independent items, and one thread beside the caller. The one place that knows pthreads. */
#ifndef GX_BASE_THREADS_H
#define GX_BASE_THREADS_H

#include "base/error.h"

/* Called once per item, in no particular order across threads; items are handed out in ascending order, so item i is
 * never started before item i - 1 was started. `worker` is 0 … threads - 1: an index for scratch memory. */
typedef gx_status (*gx_parallel_task)(void *context, size_t item, unsigned worker, gx_error *error);

/* Runs all items, or stops handing out items after the first failure and returns it (the lowest failing item's).
 * threads 0 or 1: runs in the calling thread. */
gx_status gx_parallel_for(size_t items, unsigned threads, gx_parallel_task task, void *context, gx_error *error) GX_MUST_USE;

unsigned gx_cpu_count(void); /* usable processors, at least 1 */

/* A lock, and a way to wait for what it guards: gx_monitor_wait lets go of it until the next gx_monitor_notify, or for no
 * reason, so that the caller looks again. */
typedef struct gx_monitor gx_monitor;
gx_monitor *gx_monitor_new(void); /* NULL when memory is out */
void gx_monitor_free(gx_monitor *monitor); /* NULL allowed */
void gx_monitor_enter(gx_monitor *monitor);
void gx_monitor_leave(gx_monitor *monitor);
void gx_monitor_wait(gx_monitor *monitor);   /* inside */
void gx_monitor_notify(gx_monitor *monitor); /* inside */

/* Runs `main` in a thread of its own; NULL when there is no memory or no thread to be had. */
typedef struct gx_thread gx_thread;
gx_thread *gx_thread_start(void (*main)(void *context), void *context);
void gx_thread_join(gx_thread *thread); /* waits for its end and frees; NULL allowed */

/* An ordered gate: gx_turn_wait(i) returns when gx_turn_done was called i times, so that items take their turns in order
 * while the rest of their work goes on in parallel. Every item must take its turn, a failed one too. */
typedef struct gx_turn gx_turn;
gx_turn *gx_turn_new(void); /* NULL when memory is out */
void gx_turn_free(gx_turn *turn); /* NULL allowed */
void gx_turn_wait(gx_turn *turn, size_t index);
void gx_turn_done(gx_turn *turn);

#endif
