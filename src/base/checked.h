/* Size arithmetic on numbers that came from a file: false on overflow, `out` untouched. */
#ifndef GX_BASE_CHECKED_H
#define GX_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Through a local: the builtins store the wrapped result even when they report an overflow. */
static inline bool gx_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

static inline bool gx_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static inline uint64_t gx_align_up(uint64_t value, uint64_t alignment) /* alignment: a power of two; value far from 2^64 */
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline uint64_t gx_ceil_div(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

#endif
