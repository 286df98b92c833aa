/* Threads beside the caller, and the monitor they meet in. Nothing here waits for a time; the alarm is a safety net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/threads.h"

#define THREADS 4
#define ROUNDS 20000

typedef struct meeting {
    gx_monitor *monitor;
    unsigned count, turn, waiting;
    bool open;
} meeting;

static void set_flag(void *context)
{
    *(bool *)context = true;
}

static void a_thread_runs_and_ends(void **state)
{
    (void)state;
    bool done = false;
    gx_thread *thread = gx_thread_start(set_flag, &done);
    assert_non_null(thread);
    gx_thread_join(thread);
    assert_true(done); /* unguarded on purpose: joining is the guard */
    gx_thread_join(NULL);
}

static void count_up(void *context)
{
    meeting *m = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        gx_monitor_enter(m->monitor);
        m->count++;
        gx_monitor_leave(m->monitor);
    }
}

static void one_at_a_time(void **state)
{
    (void)state;
    gx_thread *threads[THREADS];
    meeting m = {.monitor = gx_monitor_new()};
    assert_non_null(m.monitor);
    alarm(60);
    for (int i = 0; i < THREADS; i++)
        assert_non_null(threads[i] = gx_thread_start(count_up, &m));
    for (int i = 0; i < THREADS; i++)
        gx_thread_join(threads[i]);
    alarm(0);
    assert_int_equal(m.count, THREADS * ROUNDS);
    gx_monitor_free(m.monitor);
}

static void play(meeting *m, unsigned me)
{
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        gx_monitor_enter(m->monitor);
        while (m->turn != me)
            gx_monitor_wait(m->monitor);
        m->count += m->count % 2 == me; /* the other has moved once since */
        m->turn = 1 - me;
        gx_monitor_notify(m->monitor);
        gx_monitor_leave(m->monitor);
    }
}

static void play_second(void *context)
{
    play(context, 1);
}

static void two_take_turns(void **state)
{
    (void)state;
    meeting m = {.monitor = gx_monitor_new()};
    assert_non_null(m.monitor);
    alarm(60);
    gx_thread *thread = gx_thread_start(play_second, &m);
    assert_non_null(thread);
    play(&m, 0);
    gx_thread_join(thread);
    alarm(0);
    assert_int_equal(m.count, 2 * (ROUNDS / 10));
    gx_monitor_free(m.monitor);
}

static void wait_for_the_door(void *context)
{
    meeting *m = context;
    gx_monitor_enter(m->monitor);
    m->waiting++;
    gx_monitor_notify(m->monitor);
    while (!m->open)
        gx_monitor_wait(m->monitor);
    m->count++;
    gx_monitor_leave(m->monitor);
}

static void one_notice_wakes_all(void **state)
{
    (void)state;
    gx_thread *threads[THREADS];
    meeting m = {.monitor = gx_monitor_new()};
    assert_non_null(m.monitor);
    alarm(60);
    for (int i = 0; i < THREADS; i++)
        assert_non_null(threads[i] = gx_thread_start(wait_for_the_door, &m));
    gx_monitor_enter(m.monitor);
    while (m.waiting < THREADS)
        gx_monitor_wait(m.monitor);
    assert_int_equal(m.count, 0);
    m.open = true;
    gx_monitor_notify(m.monitor);
    gx_monitor_leave(m.monitor);
    for (int i = 0; i < THREADS; i++)
        gx_thread_join(threads[i]);
    alarm(0);
    assert_int_equal(m.count, THREADS);
    gx_monitor_free(m.monitor);
}

static void without_memory(void **state)
{
    (void)state;
    bool done = false;
    gx_alloc_fail_after(1);
    gx_monitor *monitor = gx_monitor_new();
    gx_thread *thread = gx_thread_start(set_flag, &done);
    gx_alloc_fail_after(0);
    assert_null(monitor);
    assert_null(thread);
    assert_false(done);
    gx_monitor_free(NULL);
    gx_alloc_fail_after(2); /* the second part of a gate */
    gx_turn *turn = gx_turn_new();
    gx_alloc_fail_after(0);
    assert_null(turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_runs_and_ends),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(two_take_turns),
        cmocka_unit_test(one_notice_wakes_all),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
