/* Escapes are the ones that Hugging Face's writer makes: quote, backslash and control characters. */
#include <string.h>

#include "tokenizer/json_text.h"

#define FLUSH_NBYTES ((size_t)64 << 10)

static void flush(gx_json_text *out)
{
    if (out->status == GX_OK)
        out->status = gx_buffer_check(&out->buffer, out->error);
    if (out->status == GX_OK && out->buffer.nbytes)
        out->status = out->sink.write(out->sink.context, out->buffer.data, out->buffer.nbytes, out->error);
    gx_buffer_clear(&out->buffer);
}

static void append(gx_json_text *out, const char *bytes, size_t nbytes)
{
    gx_buffer_append(&out->buffer, bytes, nbytes);
    if (out->buffer.nbytes >= FLUSH_NBYTES)
        flush(out);
}

void gx_json_text_raw(gx_json_text *out, const char *text)
{
    append(out, text, strlen(text));
}

void gx_json_text_number(gx_json_text *out, uint64_t number)
{
    gx_buffer_printf(&out->buffer, "%llu", (unsigned long long)number);
}

static void append_escape(gx_json_text *out, char c)
{
    static const char letters[] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};
    const char letter = letters[(unsigned char)c];
    if (letter)
        append(out, (const char[]){'\\', letter}, 2);
    else
        gx_buffer_printf(&out->buffer, "\\u%04x", (unsigned)(unsigned char)c);
}

void gx_json_text_string(gx_json_text *out, const char *bytes, size_t nbytes)
{
    size_t plain = 0; /* start of what needs no escape */
    append(out, "\"", 1);
    for (size_t i = 0; i < nbytes; i++) {
        if ((unsigned char)bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\')
            continue;
        append(out, bytes + plain, i - plain);
        append_escape(out, bytes[i]);
        plain = i + 1;
    }
    append(out, bytes + plain, nbytes - plain);
    append(out, "\"", 1);
}

gx_status gx_json_text_finish(gx_json_text *out)
{
    flush(out);
    gx_buffer_deinit(&out->buffer);
    return out->status;
}
