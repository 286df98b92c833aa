/* The cursor. */
#include <string.h>

#include "onnx/wire_reader.h"

static bool take_varint(gx_wire_reader *reader, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        const uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(gx_wire_reader *reader, unsigned nbytes, uint64_t *out)
{
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->at) < nbytes)
        return false;
    for (unsigned i = 0; i < nbytes; i++)
        value |= (uint64_t)reader->at[i] << 8 * i;
    reader->at += nbytes;
    *out = value;
    return true;
}

static bool take_bytes(gx_wire_reader *reader, gx_wire_field *field)
{
    uint64_t nbytes;
    if (!take_varint(reader, &nbytes) || nbytes > (uint64_t)(reader->end - reader->at))
        return false;
    field->bytes = reader->at;
    field->nbytes = (size_t)nbytes;
    reader->at += nbytes;
    return true;
}

static bool take_content(gx_wire_reader *reader, gx_wire_field *field)
{
    switch (field->type) {
    case 0: return take_varint(reader, &field->value);
    case 1: return take_fixed(reader, 8, &field->value);
    case 2: return take_bytes(reader, field);
    case 5: return take_fixed(reader, 4, &field->value);
    default: return false;
    }
}

gx_status gx_wire_next(gx_wire_reader *reader, gx_wire_field *field, gx_error *error)
{
    uint64_t tag;
    *field = (gx_wire_field){.begin = reader->at, .none = reader->at == reader->end};
    if (field->none)
        return GX_OK;
    if (take_varint(reader, &tag) && tag >> 3 != 0 && tag >> 3 <= 0x1fffffff) {
        field->number = (uint32_t)(tag >> 3);
        field->type = (uint32_t)(tag & 7);
        if (take_content(reader, field))
            return GX_OK;
    }
    return gx_fail(error, GX_ERROR_FORMAT, "no ONNX model: a protobuf field is malformed or cut off");
}

bool gx_wire_is_text(const gx_wire_field *field, const char *text)
{
    return field->type == 2 && strlen(text) == field->nbytes && memcmp(text, field->bytes, field->nbytes) == 0;
}
