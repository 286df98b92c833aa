/*
 * Decoders of plain types and of ggml's 32-element blocks. Scales d and offsets m are halves; a block's values follow as
 * nibbles (element j in the low one, j + 16 in the high one of byte j) or bytes.
 */
#include "tensor/blocks.h"
#include "tensor/half.h"

void gx_decode_f32(const void *in, float *out, size_t blocks)
{
    memcpy(out, in, blocks * sizeof *out);
}

void gx_decode_f16(const void *in, float *out, size_t blocks)
{
    const uint8_t *bytes = in;
    for (size_t i = 0; i < blocks; i++)
        out[i] = gx_load_half(bytes + 2 * i);
}

void gx_decode_bf16(const void *in, float *out, size_t blocks)
{
    const uint8_t *bytes = in;
    for (size_t i = 0; i < blocks; i++) {
        const uint32_t bits = (uint32_t)gx_load_u16(bytes + 2 * i) << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

void gx_decode_q4_0(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q4_0_NBYTES, out += 32) {
        const float d = gx_load_half(block);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((block[2 + j] & 15) - 8) * d;
            out[j + 16] = (float)((block[2 + j] >> 4) - 8) * d;
        }
    }
}

void gx_decode_q4_1(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q4_1_NBYTES, out += 32) {
        const float d = gx_load_half(block), m = gx_load_half(block + 2);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)(block[4 + j] & 15) * d + m;
            out[j + 16] = (float)(block[4 + j] >> 4) * d + m;
        }
    }
}

/* The fifth bits: bit j for element j, bit j + 16 for element j + 16. */
static uint32_t load_high_bits(const uint8_t *bytes)
{
    uint32_t bits;
    memcpy(&bits, bytes, sizeof bits);
    return bits;
}

void gx_decode_q5_0(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q5_0_NBYTES, out += 32) {
        const float d = gx_load_half(block);
        const uint32_t high = load_high_bits(block + 2);
        for (int j = 0; j < 16; j++) {
            const int low_q = (block[6 + j] & 15) | (int)(high >> j & 1) << 4;
            const int high_q = (block[6 + j] >> 4) | (int)(high >> (j + 16) & 1) << 4;
            out[j] = (float)(low_q - 16) * d;
            out[j + 16] = (float)(high_q - 16) * d;
        }
    }
}

void gx_decode_q5_1(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q5_1_NBYTES, out += 32) {
        const float d = gx_load_half(block), m = gx_load_half(block + 2);
        const uint32_t high = load_high_bits(block + 4);
        for (int j = 0; j < 16; j++) {
            const int low_q = (block[8 + j] & 15) | (int)(high >> j & 1) << 4;
            const int high_q = (block[8 + j] >> 4) | (int)(high >> (j + 16) & 1) << 4;
            out[j] = (float)low_q * d + m;
            out[j + 16] = (float)high_q * d + m;
        }
    }
}

void gx_decode_q8_0(const void *in, float *out, size_t blocks)
{
    const uint8_t *block = in;
    for (size_t b = 0; b < blocks; b++, block += Q8_0_NBYTES, out += 32) {
        const float d = gx_load_half(block);
        for (int j = 0; j < 32; j++)
            out[j] = (float)(int8_t)block[2 + j] * d;
    }
}
