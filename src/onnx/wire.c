/* Varints and tags. Field numbers and lengths come from our own graphs, never from input. */
#include <string.h>

#include "onnx/wire.h"

enum { WIRE_VARINT = 0, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

void gx_wire_varint(gx_buffer *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    gx_buffer_append(out, bytes, n);
}

static void tag(gx_buffer *out, uint32_t field, uint32_t type)
{
    gx_wire_varint(out, (uint64_t)field << 3 | type);
}

void gx_wire_uint(gx_buffer *out, uint32_t field, uint64_t value)
{
    tag(out, field, WIRE_VARINT);
    gx_wire_varint(out, value);
}

void gx_wire_float(gx_buffer *out, uint32_t field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    tag(out, field, WIRE_FIXED32);
    gx_buffer_append(out, bytes, sizeof bytes);
}

void gx_wire_bytes(gx_buffer *out, uint32_t field, const void *bytes, size_t nbytes)
{
    tag(out, field, WIRE_LENGTH);
    gx_wire_varint(out, nbytes);
    gx_buffer_append(out, bytes, nbytes);
}

void gx_wire_string(gx_buffer *out, uint32_t field, const char *text)
{
    gx_wire_bytes(out, field, text, strlen(text));
}

void gx_wire_message(gx_buffer *out, uint32_t field, const gx_buffer *message)
{
    if (message->failed)
        out->failed = true;
    else
        gx_wire_bytes(out, field, message->data, message->nbytes);
}
