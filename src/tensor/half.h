/* One IEEE half at a time; bulk conversions are decoders and kernels. */
#ifndef GX_TENSOR_HALF_H
#define GX_TENSOR_HALF_H

#include <stdint.h>
#include <string.h>

/* Exact for every half, infinities and NaN payloads included. Branch-free, so that loops over it vectorise: the
 * exponent is moved as an integer, and a multiplication by a power of two renormalises subnormals. */
static inline float gx_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13;
    float value;
    memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p+112f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t special = magnitude >= 0x0f800000u ? 0xffffffffu : 0; /* infinity or NaN: the exponent is all ones */
    bits = (bits & ~special) | ((magnitude | 0x7f800000u) & special) | sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint16_t gx_load_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline float gx_load_half(const uint8_t *bytes)
{
    return gx_half_to_float(gx_load_u16(bytes));
}

#endif
