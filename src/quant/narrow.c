/* The rounding is done by the adder: adding a constant whose last place is the half's last place rounds to it. Branch-free,
 * so that the loop vectorises. */
#include <string.h>

#include "quant/narrow.h"

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint16_t narrow(float value)
{
    const uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
    /* Normal halves: round the 13 low bits of the significand to even, then move the exponent. */
    const uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1)) - (112u << 23);
    /* Subnormal halves: 0.5 has its last place at 2^-24. */
    float absolute;
    memcpy(&absolute, &magnitude, sizeof absolute);
    const uint32_t subnormal = bits_of(absolute + 0.5f) - 0x3f000000u;
    const uint32_t is_small = magnitude < 0x38800000u ? 0xffffffffu : 0; /* below 2^-14 */
    const uint32_t is_large = magnitude >= 0x477ff000u ? 0xffffffffu : 0; /* rounds to 65536 or more, or no number */
    const uint32_t finite = (subnormal & is_small) | (normal >> 13 & ~is_small);
    const uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return (uint16_t)(sign | (finite & ~is_large) | (special & is_large));
}

uint16_t gx_float_to_half(float value)
{
    return narrow(value);
}

__attribute__((optimize("O3"))) bool gx_narrow_to_half(const float *in, void *out, uint64_t elements)
{
    uint16_t *halves = out;
    uint32_t largest = 0;
    for (uint64_t i = 0; i < elements; i++) {
        const uint32_t magnitude = bits_of(in[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
        halves[i] = narrow(in[i]);
    }
    return largest < 0x477ff000u;
}
