/* Memory: arenas, the heap, the seam that makes allocations fail; checked sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/countdown.h"
#include "base/threads.h"

static void zeroed_aligned_apart(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    assert_non_null(arena);
    unsigned char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        const size_t nbytes = i * i * 3; /* over several blocks, some larger than a block */
        pieces[i] = gx_arena_alloc(arena, nbytes, 1);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < nbytes; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)(i + 1), nbytes);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * i * 3; k++)
            assert_int_equal(pieces[i][k], i + 1);
    gx_arena_free(arena);
    gx_arena_free(NULL);
}

static void sizes_that_overflow(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    assert_null(gx_arena_alloc(arena, SIZE_MAX, 2));
    assert_null(gx_arena_alloc(arena, SIZE_MAX / 8 + 2, 8));
    assert_null(gx_arena_alloc(arena, SIZE_MAX, 1));
    assert_null(gx_arena_alloc(arena, SIZE_MAX - 8, 1));
    assert_null(gx_arena_copy_bytes(arena, "", SIZE_MAX));
    assert_non_null(gx_arena_alloc(arena, 8, 1)); /* a refusal harms nothing */
    assert_null(gx_alloc(SIZE_MAX / 8 + 2, 8));
    assert_null(gx_realloc(NULL, SIZE_MAX / 8 + 2, 8));
    gx_arena_free(arena);
}

static void copies_end_with_zero(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    char *bytes = gx_arena_copy_bytes(arena, "a\0b", 3);
    assert_memory_equal(bytes, "a\0b", 4);
    assert_string_equal(gx_arena_copy_bytes(arena, NULL, 0), "");
    assert_string_equal(gx_arena_copy_string(arena, "text"), "text");
    assert_string_equal(gx_arena_printf(arena, "%s-%05u", "model", 7u), "model-00007");
    assert_string_equal(gx_arena_printf(arena, "%*s", 40000, "x") + 39999, "x");
    gx_arena_free(arena);
}

static void the_heap(void **state)
{
    (void)state;
    int *numbers = gx_alloc(4, sizeof *numbers);
    assert_non_null(numbers);
    assert_int_equal(numbers[3], 0);
    numbers[3] = 5;
    numbers = gx_realloc(numbers, 4000, sizeof *numbers);
    assert_int_equal(numbers[3], 5);
    gx_free(numbers);
    gx_free(NULL);
    void *nothing = gx_alloc(0, 8);
    assert_non_null(nothing);
    gx_free(nothing);
}

static void the_nth_fails_and_all_after_it(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_alloc_fail_after(3);
    void *a = gx_alloc(1, 1), *b = gx_realloc(NULL, 1, 1), *c = gx_alloc(1, 1), *d = gx_realloc(NULL, 1, 1);
    gx_arena *arena = gx_arena_new();
    gx_alloc_fail_after(0);
    void *e = gx_alloc(1, 1);
    assert_true(a && b && !c && !d && !arena && e);
    gx_free(a);
    gx_free(b);
    gx_free(e);
    assert_int_equal(gx_fail_memory(&error), GX_ERROR_MEMORY);
    assert_string_equal(error.message, "out of memory");
}

static void an_arena_without_memory(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_alloc_fail_after(1);
    assert_null(gx_arena_alloc(arena, 1, 1));
    assert_null(gx_arena_copy_string(arena, "x"));
    assert_null(gx_arena_printf(arena, "x"));
    gx_alloc_fail_after(0);
    assert_string_equal(gx_arena_printf(arena, "x"), "x");
    gx_arena_free(arena);
}

static gx_countdown countdown;

static gx_status step_often(void *context, size_t item, unsigned worker, gx_error *error)
{
    _Atomic uint64_t *passed = context;
    (void)item;
    (void)worker;
    (void)error;
    for (int i = 0; i < 50000; i++)
        atomic_fetch_add(passed, !gx_countdown_step(&countdown));
    return GX_OK;
}

/* However threads meet, exactly n - 1 steps pass: the countdown never runs through its end, which would switch it off. */
static void threads_share_a_countdown(void **state)
{
    (void)state;
    _Atomic uint64_t passed = 0;
    atomic_store(&countdown, 100001);
    assert_int_equal(gx_parallel_for(4, 4, step_often, &passed, NULL), GX_OK);
    assert_int_equal(atomic_load(&passed), 100000);
    assert_int_equal(atomic_load(&countdown), 1);
}

static void checked_sizes(void **state)
{
    (void)state;
    uint64_t out = 7;
    assert_true(gx_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 31, &out));
    assert_int_equal(out, UINT64_C(1) << 63);
    assert_false(gx_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    assert_false(gx_add_u64(UINT64_MAX, 1, &out));
    assert_int_equal(out, UINT64_C(1) << 63); /* untouched */
    assert_true(gx_add_u64(UINT64_MAX - 1, 1, &out));
    assert_int_equal(out, UINT64_MAX);
    assert_int_equal(gx_align_up(0, 4096), 0);
    assert_int_equal(gx_align_up(1, 4096), 4096);
    assert_int_equal(gx_align_up(4096, 4096), 4096);
    assert_int_equal(gx_align_up(4097, 4096), 8192);
    assert_int_equal(gx_ceil_div(0, 32), 0);
    assert_int_equal(gx_ceil_div(33, 32), 2);
    assert_int_equal(gx_ceil_div(64, 32), 2);
    assert_int_equal(gx_ceil_div(UINT64_MAX, 2), UINT64_C(1) << 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_aligned_apart),
        cmocka_unit_test(sizes_that_overflow),
        cmocka_unit_test(copies_end_with_zero),
        cmocka_unit_test(the_heap),
        cmocka_unit_test(the_nth_fails_and_all_after_it),
        cmocka_unit_test(an_arena_without_memory),
        cmocka_unit_test(threads_share_a_countdown),
        cmocka_unit_test(checked_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
