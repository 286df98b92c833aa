/* The window over the header. */
#include <string.h>

#include "checkpoint/gguf_stream.h"

#define WINDOW_NBYTES ((size_t)1 << 18)
#define HEADER_LIMIT ((uint64_t)1 << 28)

gx_status gx_gguf_stream_open(gx_gguf_stream *stream, gx_file *file, gx_error *error)
{
    *stream = (gx_gguf_stream){.file = file, .error = error, .window = gx_alloc(WINDOW_NBYTES, 1)};
    return stream->window ? GX_OK : gx_fail_memory(error);
}

void gx_gguf_stream_close(gx_gguf_stream *stream)
{
    gx_free(stream->window);
    stream->window = NULL;
}

uint64_t gx_gguf_bytes_left(const gx_gguf_stream *stream)
{
    const uint64_t nbytes = gx_file_nbytes(stream->file);
    return (nbytes < HEADER_LIMIT ? nbytes : HEADER_LIMIT) - stream->at;
}

static bool fill_window(gx_gguf_stream *stream)
{
    const uint64_t left = gx_gguf_bytes_left(stream);
    stream->window_begin = stream->at;
    stream->window_nbytes = left < WINDOW_NBYTES ? (size_t)left : WINDOW_NBYTES;
    stream->status = gx_file_read(stream->file, stream->at, stream->window, stream->window_nbytes, stream->error);
    return stream->status == GX_OK;
}

static size_t in_window(const gx_gguf_stream *stream)
{
    const uint64_t offset = stream->at - stream->window_begin;
    return offset < stream->window_nbytes ? stream->window_nbytes - (size_t)offset : 0;
}

void gx_gguf_take(gx_gguf_stream *stream, void *out, size_t nbytes)
{
    uint8_t *bytes = out;
    const uint64_t whole = gx_file_nbytes(stream->file);
    if (stream->status == GX_OK && nbytes > gx_gguf_bytes_left(stream))
        stream->status = whole > HEADER_LIMIT ? gx_fail(stream->error, GX_ERROR_FORMAT, "%s: a header over %llu bytes",
                                                        gx_file_path(stream->file), (unsigned long long)HEADER_LIMIT)
                                              : gx_fail(stream->error, GX_ERROR_FORMAT, "%s: the file ends at byte %llu, inside its header",
                                                        gx_file_path(stream->file), (unsigned long long)whole);
    while (stream->status == GX_OK && nbytes > 0) {
        if (in_window(stream) == 0 && !fill_window(stream))
            break;
        const size_t n = in_window(stream) < nbytes ? in_window(stream) : nbytes;
        memcpy(bytes, stream->window + (stream->at - stream->window_begin), n);
        stream->at += n;
        bytes += n;
        nbytes -= n;
    }
    if (stream->status != GX_OK)
        memset(bytes, 0, nbytes);
}

uint32_t gx_gguf_take_u32(gx_gguf_stream *stream)
{
    uint8_t b[4];
    gx_gguf_take(stream, b, sizeof b);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t gx_gguf_take_u64(gx_gguf_stream *stream)
{
    const uint64_t low = gx_gguf_take_u32(stream);
    return low | (uint64_t)gx_gguf_take_u32(stream) << 32;
}

uint64_t gx_gguf_take_count(gx_gguf_stream *stream, const char *what, uint64_t least_nbytes)
{
    const uint64_t count = gx_gguf_take_u64(stream);
    if (stream->status == GX_OK && count > gx_gguf_bytes_left(stream) / least_nbytes)
        stream->status = gx_fail(stream->error, GX_ERROR_FORMAT, "%s: byte %llu: %llu %s do not fit into the %llu bytes that are left",
                                 gx_file_path(stream->file), (unsigned long long)(stream->at - 8), (unsigned long long)count, what,
                                 (unsigned long long)gx_gguf_bytes_left(stream));
    return stream->status == GX_OK ? count : 0;
}
