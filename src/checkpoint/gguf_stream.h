/* A forward reader over the header of a GGUF file: a window of the file in memory, every count checked against the bytes
 * that are left. The first failure sticks; values after it are 0. A header may have 256 MiB (with a vocabulary of 262,144
 * pieces it has 6), so that no count is believed only because the file is large. */
#ifndef GX_CHECKPOINT_GGUF_STREAM_H
#define GX_CHECKPOINT_GGUF_STREAM_H

#include "base/file.h"

typedef struct gx_gguf_stream {
    gx_file *file;
    uint64_t at; /* offset of the next byte */
    uint8_t *window;
    uint64_t window_begin;
    size_t window_nbytes;
    gx_error *error;
    gx_status status;
} gx_gguf_stream;

gx_status gx_gguf_stream_open(gx_gguf_stream *stream, gx_file *file, gx_error *error) GX_MUST_USE;
void gx_gguf_stream_close(gx_gguf_stream *stream);

uint64_t gx_gguf_bytes_left(const gx_gguf_stream *stream); /* for the header */
void gx_gguf_take(gx_gguf_stream *stream, void *out, size_t nbytes);
uint32_t gx_gguf_take_u32(gx_gguf_stream *stream);
uint64_t gx_gguf_take_u64(gx_gguf_stream *stream);

/* A count of things of at least `least_nbytes` each; fails when the rest of the file cannot hold them. */
uint64_t gx_gguf_take_count(gx_gguf_stream *stream, const char *what, uint64_t least_nbytes);

#endif
