/* Reading the protobuf wire format: a cursor over bytes that come from a file, every length checked before use. */
#ifndef GX_ONNX_WIRE_READER_H
#define GX_ONNX_WIRE_READER_H

#include "base/error.h"

typedef struct gx_wire_reader {
    const uint8_t *at, *end;
} gx_wire_reader;

typedef struct gx_wire_field {
    uint32_t number;
    uint32_t type;        /* 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32 */
    uint64_t value;       /* of varint and fixed types */
    const uint8_t *bytes; /* of type 2 */
    size_t nbytes;
    const uint8_t *begin; /* the whole field with its tag, up to the reader's position after it */
    bool none;            /* the message is at its end */
} gx_wire_field;

/* The next field, or `none`. A malformed message is GX_ERROR_FORMAT. */
gx_status gx_wire_next(gx_wire_reader *reader, gx_wire_field *field, gx_error *error) GX_MUST_USE;

/* The bytes of a length-delimited field as a message. */
static inline gx_wire_reader gx_wire_open(const gx_wire_field *field)
{
    return (gx_wire_reader){field->bytes, field->bytes + field->nbytes};
}

/* Whether a field's bytes are this text. */
bool gx_wire_is_text(const gx_wire_field *field, const char *text);

/* A loop over the fields of `reader`; needs a local `error` and returns on a malformed message. */
#define GX_WIRE_FOREACH(reader, field)                                                                                 \
    for ((field).none = false; !(field).none;)                                                                         \
        if (gx_wire_next(&(reader), &(field), error) != GX_OK)                                                         \
            return GX_ERROR_FORMAT;                                                                                    \
        else if (!(field).none)

#endif
