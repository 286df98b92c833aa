/* Ids to text, at once or one by one: U+2581 becomes a space, runs of byte tokens become characters. */
#include <string.h>

#include "tokenizer/internal.h"
#include "tokenizer/utf8.h"

struct gx_token_stream {
    const gx_tokenizer *tokenizer;
    bool skip_special;
    bool eager;    /* give out a run of bytes as soon as it is whole characters, not only at its end */
    gx_buffer run; /* of byte tokens */
};

/* A run that is no UTF-8 is lost as a whole, as Hugging Face's decoder has it. */
static void end_run(gx_token_stream *s, gx_buffer *text)
{
    if (gx_utf8_is_valid((const char *)s->run.data, s->run.nbytes))
        gx_buffer_append(text, s->run.data, s->run.nbytes);
    else
        for (size_t i = 0; i < s->run.nbytes; i++)
            gx_buffer_append_text(text, GX_REPLACEMENT_CHARACTER);
    gx_buffer_clear(&s->run);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" → 10; others → -1. */
static int byte_of_piece(gx_piece piece)
{
    if (piece.nbytes != 6 || memcmp(piece.bytes, "<0x", 3) != 0 || piece.bytes[5] != '>')
        return -1;
    const int high = hex_digit(piece.bytes[3]), low = hex_digit(piece.bytes[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void append_piece(gx_buffer *text, gx_piece piece)
{
    const size_t mark = sizeof GX_WORD_START - 1;
    for (size_t at = 0; at < piece.nbytes;) {
        const bool space = piece.nbytes - at >= mark && memcmp(piece.bytes + at, GX_WORD_START, mark) == 0;
        gx_buffer_append(text, space ? " " : piece.bytes + at, 1);
        at += space ? mark : 1;
    }
}

static gx_status push(gx_token_stream *s, int64_t id, gx_buffer *text, gx_error *error)
{
    const gx_vocabulary *vocabulary = &s->tokenizer->vocabulary;
    if (id < 0 || id >= vocabulary->count || (s->skip_special && s->tokenizer->special[id]))
        return GX_OK;
    const gx_piece piece = gx_vocabulary_piece(vocabulary, (uint32_t)id);
    const int byte = byte_of_piece(piece);
    if (byte >= 0) {
        gx_buffer_append_byte(&s->run, (uint8_t)byte);
        GX_TRY(gx_buffer_check(&s->run, error));
        if (s->eager && gx_utf8_is_valid((const char *)s->run.data, s->run.nbytes))
            end_run(s, text);
    } else if (piece.nbytes) {
        end_run(s, text);
        append_piece(text, piece);
    }
    return gx_buffer_check(text, error);
}

gx_status gx_tokenizer_decode(const gx_tokenizer *tokenizer, const int64_t *ids, size_t count, bool skip_special, gx_buffer *text,
                              gx_error *error)
{
    gx_token_stream s = {.tokenizer = tokenizer, .skip_special = skip_special};
    gx_status status = GX_OK;
    for (size_t i = 0; i < count && status == GX_OK; i++)
        status = push(&s, ids[i], text, error);
    if (status == GX_OK)
        status = gx_token_stream_finish(&s, text, error);
    gx_buffer_deinit(&s.run);
    return status;
}

gx_status gx_token_stream_new(gx_token_stream **out, const gx_tokenizer *tokenizer, bool skip_special, gx_error *error)
{
    gx_token_stream *s = gx_alloc(1, sizeof *s);
    if (!s)
        return gx_fail_memory(error);
    *s = (gx_token_stream){.tokenizer = tokenizer, .skip_special = skip_special, .eager = true};
    *out = s;
    return GX_OK;
}

void gx_token_stream_free(gx_token_stream *stream)
{
    if (!stream)
        return;
    gx_buffer_deinit(&stream->run);
    gx_free(stream);
}

gx_status gx_token_stream_push(gx_token_stream *stream, int64_t id, gx_buffer *text, gx_error *error)
{
    return push(stream, id, text, error);
}

gx_status gx_token_stream_finish(gx_token_stream *stream, gx_buffer *text, gx_error *error)
{
    end_run(stream, text);
    return gx_buffer_check(text, error);
}
