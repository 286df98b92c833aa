/* A growable byte buffer with a sticky failure. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"

/* Room for `more` bytes and a final 0. */
static bool reserve(gx_buffer *buffer, size_t more)
{
    size_t needed;
    if (buffer->failed || __builtin_add_overflow(buffer->nbytes, more, &needed) || needed > SIZE_MAX / 4) {
        buffer->failed = true;
        return false;
    }
    if (needed + 1 <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < needed + 1)
        capacity *= 2;
    uint8_t *grown = gx_realloc(buffer->data, capacity, 1);
    if (!grown) {
        buffer->failed = true;
        return false;
    }
    buffer->data = grown;
    buffer->capacity = capacity;
    return true;
}

void gx_buffer_append(gx_buffer *buffer, const void *bytes, size_t nbytes)
{
    if (!reserve(buffer, nbytes))
        return;
    if (nbytes)
        memcpy(buffer->data + buffer->nbytes, bytes, nbytes);
    buffer->nbytes += nbytes;
}

void gx_buffer_append_text(gx_buffer *buffer, const char *text)
{
    gx_buffer_append(buffer, text, strlen(text));
}

void gx_buffer_append_byte(gx_buffer *buffer, uint8_t byte)
{
    gx_buffer_append(buffer, &byte, 1);
}

void gx_buffer_printf(gx_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        buffer->failed = true;
    else if (reserve(buffer, (size_t)length)) {
        vsnprintf((char *)buffer->data + buffer->nbytes, (size_t)length + 1, format, again);
        buffer->nbytes += (size_t)length;
    }
    va_end(again);
}

gx_status gx_buffer_check(const gx_buffer *buffer, gx_error *error)
{
    return buffer->failed ? gx_fail_memory(error) : GX_OK;
}

const char *gx_buffer_text(gx_buffer *buffer)
{
    if (buffer->failed)
        return NULL;
    if (!buffer->data)
        return "";
    buffer->data[buffer->nbytes] = 0;
    return (const char *)buffer->data;
}

char *gx_buffer_take(gx_buffer *buffer)
{
    if (!reserve(buffer, 0))
        return NULL;
    buffer->data[buffer->nbytes] = 0;
    char *text = (char *)buffer->data;
    *buffer = (gx_buffer){0};
    return text;
}

void gx_buffer_clear(gx_buffer *buffer)
{
    buffer->nbytes = 0;
}

void gx_buffer_deinit(gx_buffer *buffer)
{
    gx_free(buffer->data);
    *buffer = (gx_buffer){0};
}
