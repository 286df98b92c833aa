/* fp32 to IEEE half, round to nearest even. */
#ifndef GX_QUANT_NARROW_H
#define GX_QUANT_NARROW_H

#include "tensor/dtype.h"

/* False when a value is NaN, infinite or too large; the output is then useless. */
bool gx_narrow_to_half(const float *in, void *out, uint64_t elements);

uint16_t gx_float_to_half(float value); /* infinity when too large */

#endif
