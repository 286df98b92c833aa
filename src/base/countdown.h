/* A countdown to failure, for the test seams: after it was set to n, the nth step and all later ones fail. Any number of
 * threads may step at once. */
#ifndef GX_BASE_COUNTDOWN_H
#define GX_BASE_COUNTDOWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t gx_countdown; /* 0: never fails; 1: fails now */

static inline bool gx_countdown_step(gx_countdown *countdown)
{
    uint64_t left = atomic_load_explicit(countdown, memory_order_relaxed);
    while (left > 1 && !atomic_compare_exchange_weak(countdown, &left, left - 1))
        ;
    return left == 1;
}

#endif
