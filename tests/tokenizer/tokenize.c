/*
 * The tokenizer for an outside judge. usage: tokenize TOKENIZER.JSON
 * stdin: requests, each a command byte, u32 length (little endian), bytes.
 *   'e' / 's' / 't'  encode the text: plainly, with special tokens as text, with the file's template → ids
 *   'd' / 'k'        decode ids (i64): all, without special tokens → text
 *   'r'              the same id by id, all → text
 *   'c' / 'g'        a chat: the ids of the prompt, 'g' with the start of a reply; messages are role byte ('s', 'u', 'a'), u32 length,
 * bytes stdout: for each request u32 status, u32 length, bytes (ids as i64; of a failure the message).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

typedef struct answer {
    gx_status status;
    gx_buffer bytes;
} answer;

static unsigned flags_of(char command)
{
    if (command == 's')
        return GX_ENCODE_SPECIAL_AS_TEXT;
    return command == 't' ? GX_ENCODE_WITH_TEMPLATE : 0;
}

static gx_status encode(const gx_tokenizer *tokenizer, char command, const char *text, size_t nbytes, gx_buffer *out, gx_error *error)
{
    gx_token_ids ids = {0};
    const gx_status status = gx_tokenizer_encode(tokenizer, text, nbytes, flags_of(command), &ids, error);
    if (status == GX_OK)
        gx_buffer_append(out, ids.ids, ids.count * sizeof *ids.ids);
    gx_token_ids_deinit(&ids);
    return status;
}

static gx_status decode_stream(const gx_tokenizer *tokenizer, const int64_t *ids, size_t count, gx_buffer *out, gx_error *error)
{
    gx_token_stream *stream = NULL;
    gx_status status = gx_token_stream_new(&stream, tokenizer, false, error);
    for (size_t i = 0; i < count && status == GX_OK; i++)
        status = gx_token_stream_push(stream, ids[i], out, error);
    if (status == GX_OK)
        status = gx_token_stream_finish(stream, out, error);
    gx_token_stream_free(stream);
    return status;
}

static gx_status chat(const gx_tokenizer *tokenizer, bool reply, const char *bytes, size_t nbytes, gx_buffer *out, gx_error *error)
{
    gx_chat_message messages[64];
    gx_token_ids ids = {0};
    size_t count = 0;
    for (size_t at = 0; at + 5 <= nbytes && count < 64; count++) {
        uint32_t length;
        memcpy(&length, bytes + at + 1, sizeof length);
        const char role = bytes[at];
        messages[count] = (gx_chat_message){.role = role == 's'   ? GX_CHAT_SYSTEM
                                                    : role == 'u' ? GX_CHAT_USER
                                                                  : GX_CHAT_ASSISTANT,
                                            .content = bytes + at + 5,
                                            .nbytes = length};
        at += 5 + length;
    }
    const gx_status status = gx_chat_encode(tokenizer, messages, count, reply, &ids, error);
    if (status == GX_OK)
        gx_buffer_append(out, ids.ids, ids.count * sizeof *ids.ids);
    gx_token_ids_deinit(&ids);
    return status;
}

static gx_status run(const gx_tokenizer *tokenizer, char command, const char *bytes, size_t nbytes, gx_buffer *out, gx_error *error)
{
    const int64_t *ids = (const int64_t *)(const void *)bytes; /* the heap's: aligned */
    if (command == 'd' || command == 'k')
        return gx_tokenizer_decode(tokenizer, ids, nbytes / sizeof *ids, command == 'k', out, error);
    if (command == 'r')
        return decode_stream(tokenizer, ids, nbytes / sizeof *ids, out, error);
    if (command == 'c' || command == 'g')
        return chat(tokenizer, command == 'g', bytes, nbytes, out, error);
    return encode(tokenizer, command, bytes, nbytes, out, error);
}

static bool read_request(char *command, char **bytes, uint32_t *nbytes)
{
    if (fread(command, 1, 1, stdin) != 1 || fread(nbytes, sizeof *nbytes, 1, stdin) != 1)
        return false;
    *bytes = gx_alloc(*nbytes, 1);
    return *bytes && fread(*bytes, 1, *nbytes, stdin) == *nbytes;
}

int main(int argc, char **argv)
{
    gx_tokenizer *tokenizer = NULL;
    gx_error error = {0};
    if (argc != 2 || gx_tokenizer_load(&tokenizer, argv[1], &error) != GX_OK) {
        fprintf(stderr, "tokenize: %s\n", argc == 2 ? error.message : "expected one tokenizer.json");
        return EXIT_FAILURE;
    }
    char command, *bytes = NULL;
    uint32_t nbytes;
    while (read_request(&command, &bytes, &nbytes)) {
        gx_buffer out = {0};
        gx_error_clear(&error);
        const gx_status status = run(tokenizer, command, bytes, nbytes, &out, &error);
        const uint32_t head[] = {(uint32_t)status, (uint32_t)(status == GX_OK ? out.nbytes : strlen(error.message))};
        fwrite(head, sizeof head, 1, stdout);
        fwrite(status == GX_OK ? (const char *)out.data : error.message, 1, head[1], stdout);
        fflush(stdout);
        gx_buffer_deinit(&out);
        gx_free(bytes);
    }
    gx_tokenizer_free(tokenizer);
    return EXIT_SUCCESS;
}
