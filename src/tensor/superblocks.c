/*
 * Decoders of ggml's 256-element super-blocks ("K-quants"): sub-blocks of 16 or 32 elements with small integer scales and
 * minima, which a half scales once for the whole super-block.
 */
#include "tensor/blocks.h"
#include "tensor/half.h"

/* scales[16] (4 bits scale, 4 bits minimum), qs[64] (2 bits), d, dmin */
void gx_decode_q2_k(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q2_K_NBYTES) {
        const uint8_t *scales = block, *q = block + 16;
        const float d = gx_load_half(block + 80), dmin = gx_load_half(block + 82);
        for (int half = 0, s = 0; half < 2; half++, q += 32) {
            for (int shift = 0; shift < 8; shift += 2) {
                for (int part = 0; part < 2; part++, s++, out += 16) {
                    const float scale = d * (float)(scales[s] & 15), minimum = dmin * (float)(scales[s] >> 4);
                    for (int l = 0; l < 16; l++)
                        out[l] = scale * (float)(q[16 * part + l] >> shift & 3) - minimum;
                }
            }
        }
    }
}

/* The sixteen 6-bit scales of Q3_K: low nibbles in bytes 0 … 7, two high bits each in bytes 8 … 11; offset 32. */
static void unpack_q3_scales(int8_t scales[16], const uint8_t *packed)
{
    for (int i = 0; i < 16; i++) {
        const int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
        const int high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
        scales[i] = (int8_t)((low | high << 4) - 32);
    }
}

/* hmask[32], qs[64] (2 bits), scales[12], d: a clear mask bit subtracts 4 */
void gx_decode_q3_k(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q3_K_NBYTES) {
        const uint8_t *mask = block, *q = block + 32;
        int8_t scales[16];
        unpack_q3_scales(scales, block + 96);
        const float d = gx_load_half(block + 108);
        for (int half = 0, s = 0, bit = 0; half < 2; half++, q += 32) {
            for (int shift = 0; shift < 8; shift += 2, bit++) {
                for (int part = 0; part < 2; part++, s++, out += 16) {
                    const float scale = d * (float)scales[s];
                    for (int l = 0; l < 16; l++) {
                        const int low = q[16 * part + l] >> shift & 3, high = mask[16 * part + l] >> bit & 1;
                        out[l] = scale * (float)(low - (high ? 0 : 4));
                    }
                }
            }
        }
    }
}

/* The eight 6-bit scales and minima of Q4_K and Q5_K in 12 bytes. */
static void unpack_scale_min(int s, const uint8_t *packed, int *scale, int *minimum)
{
    if (s < 4) {
        *scale = packed[s] & 63;
        *minimum = packed[s + 4] & 63;
    } else {
        *scale = (packed[s + 4] & 15) | (packed[s - 4] >> 6) << 4;
        *minimum = (packed[s + 4] >> 4) | (packed[s] >> 6) << 4;
    }
}

/* d, dmin, scales[12], qs[128] */
void gx_decode_q4_k(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q4_K_NBYTES) {
        const float d = gx_load_half(block), dmin = gx_load_half(block + 2);
        const uint8_t *q = block + 16;
        for (int s = 0; s < 8; s++, out += 32) {
            int scale, minimum;
            unpack_scale_min(s, block + 4, &scale, &minimum);
            const float step = d * (float)scale, offset = dmin * (float)minimum;
            const uint8_t *bytes = q + 32 * (s / 2);
            for (int l = 0; l < 32; l++)
                out[l] = step * (float)(bytes[l] >> 4 * (s & 1) & 15) - offset;
        }
    }
}

/* d, dmin, scales[12], qh[32], qs[128] */
void gx_decode_q5_k(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q5_K_NBYTES) {
        const float d = gx_load_half(block), dmin = gx_load_half(block + 2);
        const uint8_t *high = block + 16, *q = block + 48;
        for (int s = 0; s < 8; s++, out += 32) {
            int scale, minimum;
            unpack_scale_min(s, block + 4, &scale, &minimum);
            const float step = d * (float)scale, offset = dmin * (float)minimum;
            const uint8_t *bytes = q + 32 * (s / 2);
            for (int l = 0; l < 32; l++) {
                const int value = (bytes[l] >> 4 * (s & 1) & 15) + (high[l] >> s & 1) * 16;
                out[l] = step * (float)value - offset;
            }
        }
    }
}

/* ql[128], qh[64], scales[16] (signed), d */
void gx_decode_q6_k(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q6_K_NBYTES, out += 256) {
        const float d = gx_load_half(block + 208);
        for (int half = 0; half < 2; half++) {
            const uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half, *scales = block + 192 + 8 * half;
            for (int quarter = 0; quarter < 4; quarter++) {
                for (int l = 0; l < 32; l++) {
                    const int nibble = low[l + 32 * (quarter & 1)] >> 4 * (quarter / 2) & 15;
                    const int value = (nibble | (high[l] >> 2 * quarter & 3) << 4) - 32;
                    const float scale = d * (float)(int8_t)scales[2 * quarter + l / 16];
                    out[128 * half + 32 * quarter + l] = scale * (float)value;
                }
            }
        }
    }
}
