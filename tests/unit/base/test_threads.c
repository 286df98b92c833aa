/* The parallel for and the ordered gate. Nothing here waits for a time: where an order matters, threads wait for each other. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/threads.h"

#define ITEMS 1000

typedef struct job {
    _Atomic unsigned times[ITEMS];
    _Atomic unsigned busy[8]; /* by worker */
    _Atomic size_t started;
    _Atomic bool overlapped, out_of_order;
    unsigned threads;
    size_t fails_from; /* items from here fail, each with its number */
    gx_turn *turn;
    size_t order[ITEMS], taken;
} job;

static gx_status count(void *context, size_t item, unsigned worker, gx_error *error)
{
    job *j = context;
    if (worker >= j->threads || atomic_fetch_add(&j->busy[worker], 1) != 0)
        atomic_store(&j->overlapped, true); /* two items with the same scratch memory at once */
    /* Handed out in ascending order: with t threads at most t - 1 lower items can be on their way here. */
    if (item > atomic_fetch_add(&j->started, 1) + j->threads - 1)
        atomic_store(&j->out_of_order, true);
    atomic_fetch_add(&j->times[item], 1);
    atomic_fetch_sub(&j->busy[worker], 1);
    return item >= j->fails_from ? gx_fail(error, GX_ERROR_FORMAT, "item %zu", item) : GX_OK;
}

static void every_item_once(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads <= 8; threads++) {
        job j = {.threads = threads ? threads : 1, .fails_from = ITEMS};
        gx_error error = {0};
        assert_int_equal(gx_parallel_for(ITEMS, threads, count, &j, &error), GX_OK);
        assert_int_equal(error.status, GX_OK);
        for (size_t i = 0; i < ITEMS; i++)
            assert_int_equal(j.times[i], 1);
        assert_false(j.overlapped);
        assert_false(j.out_of_order);
    }
}

static void few_items(void **state)
{
    (void)state;
    for (size_t items = 0; items < 4; items++) {
        job j = {.threads = 8, .fails_from = ITEMS};
        assert_int_equal(gx_parallel_for(items, 8, count, &j, NULL), GX_OK);
        assert_int_equal(j.started, items);
    }
}

/* Whatever the threads do first, the report is that of one thread: the lowest failing item's. */
static void the_lowest_failure_is_reported(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        job j = {.threads = 1 + round % 4, .fails_from = 37};
        gx_error error = {0};
        assert_int_equal(gx_parallel_for(ITEMS, j.threads, count, &j, &error), GX_ERROR_FORMAT);
        assert_string_equal(error.message, "item 37");
        for (size_t i = 0; i <= 37; i++)
            assert_int_equal(j.times[i], 1);
        assert_true(j.started <= 37 + j.threads); /* nothing new is begun after it */
    }
    job j = {.threads = 4, .fails_from = 0};
    assert_int_equal(gx_parallel_for(ITEMS, 4, count, &j, NULL), GX_ERROR_FORMAT);
}

/* Both fail; the second has failed long before the first does. */
static gx_status fail_late(void *context, size_t item, unsigned worker, gx_error *error)
{
    job *j = context;
    (void)worker;
    atomic_fetch_add(&j->started, 1);
    while (item == 0 && atomic_load(&j->started) < 2)
        sched_yield();
    for (int i = 0; item == 0 && i < 2000; i++) /* it needs a moment to be noted: too short a moment hides an error, never makes one */
        sched_yield();
    return gx_fail(error, GX_ERROR_FORMAT, "item %zu", item);
}

static void a_late_failure_may_be_the_lowest(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        job j = {.threads = 2};
        gx_error error = {0};
        alarm(60);
        assert_int_equal(gx_parallel_for(2, 2, fail_late, &j, &error), GX_ERROR_FORMAT);
        alarm(0);
        assert_string_equal(error.message, "item 0");
    }
}

/* The first of each four lets the other three queue up at the gate, so that every step wakes some whose turn it is not. */
static void let_others_queue(job *j, size_t item)
{
    atomic_fetch_add(&j->started, 1);
    while (item % 4 == 0 && atomic_load(&j->started) < item + 4)
        sched_yield();
    for (int i = 0; item % 4 == 0 && i < 20; i++)
        sched_yield();
}

static gx_status take_turn(void *context, size_t item, unsigned worker, gx_error *error)
{
    job *j = context;
    (void)worker;
    let_others_queue(j, item);
    gx_turn_wait(j->turn, item);
    j->order[j->taken++] = item; /* unguarded on purpose: the gate is the guard */
    gx_turn_done(j->turn);
    return item >= j->fails_from ? gx_fail(error, GX_ERROR_FORMAT, "item %zu", item) : GX_OK;
}

static void turns_come_in_order(void **state)
{
    (void)state;
    for (size_t fails_from = 500; fails_from <= ITEMS; fails_from += 500) {
        job j = {.turn = gx_turn_new(), .fails_from = fails_from};
        assert_non_null(j.turn);
        alarm(60);
        const gx_status status = gx_parallel_for(ITEMS, 4, take_turn, &j, NULL);
        alarm(0);
        gx_turn_free(j.turn);
        assert_int_equal(status, fails_from == ITEMS ? GX_OK : GX_ERROR_FORMAT);
        assert_int_equal(j.taken, fails_from == ITEMS ? ITEMS : fails_from + 4);
        for (size_t i = 0; i < j.taken; i++)
            assert_int_equal(j.order[i], i);
    }
    gx_turn_free(NULL);
}

static void without_memory(void **state)
{
    (void)state;
    job j = {.threads = 4, .fails_from = ITEMS};
    gx_error error = {0};
    gx_alloc_fail_after(1);
    const gx_status status = gx_parallel_for(ITEMS, 4, count, &j, &error);
    gx_turn *turn = gx_turn_new();
    gx_alloc_fail_after(0);
    assert_int_equal(status, GX_ERROR_MEMORY);
    assert_string_equal(error.message, "out of memory");
    assert_int_equal(j.started, 0);
    assert_null(turn);
}

static void there_is_a_processor(void **state)
{
    (void)state;
    assert_true(gx_cpu_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(few_items),
        cmocka_unit_test(the_lowest_failure_is_reported),
        cmocka_unit_test(a_late_failure_may_be_the_lowest),
        cmocka_unit_test(turns_come_in_order),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(there_is_a_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
