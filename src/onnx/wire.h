/* The protobuf wire format, as far as ONNX files need it: writing into a buffer. */
#ifndef GX_ONNX_WIRE_H
#define GX_ONNX_WIRE_H

#include "base/buffer.h"

void gx_wire_varint(gx_buffer *out, uint64_t value);
void gx_wire_uint(gx_buffer *out, uint32_t field, uint64_t value); /* int32, int64 and enum fields, too: cast to uint64_t */
void gx_wire_float(gx_buffer *out, uint32_t field, float value);
void gx_wire_bytes(gx_buffer *out, uint32_t field, const void *bytes, size_t nbytes);
void gx_wire_string(gx_buffer *out, uint32_t field, const char *text);
void gx_wire_message(gx_buffer *out, uint32_t field, const gx_buffer *message); /* a finished sub-message */

#endif
