/* A growable byte buffer, also used to build text. Every append may fail only for memory; the failure sticks, so that
 * a builder may append without checking and look once at the end. */
#ifndef GX_BASE_BUFFER_H
#define GX_BASE_BUFFER_H

#include "base/error.h"

typedef struct gx_buffer {
    uint8_t *data; /* after gx_buffer_text: 0-terminated */
    size_t nbytes;
    size_t capacity;
    bool failed;
} gx_buffer; /* {0} is an empty buffer */

void gx_buffer_append(gx_buffer *buffer, const void *bytes, size_t nbytes);
void gx_buffer_append_text(gx_buffer *buffer, const char *text);
void gx_buffer_append_byte(gx_buffer *buffer, uint8_t byte);
void gx_buffer_printf(gx_buffer *buffer, const char *format, ...) GX_PRINTF(2, 3);

/* GX_ERROR_MEMORY if an append failed. */
gx_status gx_buffer_check(const gx_buffer *buffer, gx_error *error) GX_MUST_USE;

/* The content as a C string, owned by the buffer, valid until the next append; "" when empty, NULL when it failed. */
const char *gx_buffer_text(gx_buffer *buffer);

/* Moves the bytes out (0-terminated); the caller frees with gx_free. NULL when it failed. */
char *gx_buffer_take(gx_buffer *buffer);

void gx_buffer_clear(gx_buffer *buffer);  /* keeps the memory */
void gx_buffer_deinit(gx_buffer *buffer); /* frees; the buffer is {0} again */

#endif
