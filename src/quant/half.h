/* One fp32 number to an IEEE half, ties to even; infinity when too large. Bulk conversion is a kernel. */
#ifndef GX_QUANT_HALF_H
#define GX_QUANT_HALF_H

#include "kernels/kernels.h"

static inline uint16_t gx_float_to_half(float value)
{
    uint16_t half;
    if (gx_kernels_find("c")->narrow(&value, &half, 1))
        return half;
    return value < 0 ? 0xfc00 : 0x7c00;
}

#endif
