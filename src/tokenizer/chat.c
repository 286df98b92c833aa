/* The turn formats of Gemma, and prompts built by them. */
#include <string.h>

#include "tokenizer/chat.h"
#include "tokenizer/utf8.h"

typedef enum system_place { SYSTEM_REFUSED, SYSTEM_IN_FIRST_USER_TURN, SYSTEM_TURN } system_place;

/* The first whose three tokens the vocabulary has. */
static const struct format {
    const char *turn_start, *turn_end;
    const char *mark; /* a token that only this generation has */
    system_place system;
} formats[] = {
    {"<|turn>", "<turn|>", "<|turn>", SYSTEM_TURN},                                      /* Gemma 4 */
    {"<start_of_turn>", "<end_of_turn>", "<start_of_image>", SYSTEM_IN_FIRST_USER_TURN}, /* Gemma 3, 3n */
    {"<start_of_turn>", "<end_of_turn>", "<start_of_turn>", SYSTEM_REFUSED},             /* Gemma 1, 2 */
};

static const char *const role_names[] = {[GX_CHAT_SYSTEM] = "system", [GX_CHAT_USER] = "user", [GX_CHAT_ASSISTANT] = "model"};

typedef struct prompt {
    const gx_tokenizer *tokenizer;
    const struct format *format;
    int64_t bos, turn_start, turn_end;
    gx_buffer text; /* of one turn */
    gx_token_ids *ids;
} prompt;

static gx_status find_format(prompt *p, gx_error *error)
{
    int64_t mark;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        p->format = &formats[i];
        if (gx_tokenizer_token_id(p->tokenizer, formats[i].turn_start, &p->turn_start) &&
            gx_tokenizer_token_id(p->tokenizer, formats[i].turn_end, &p->turn_end) &&
            gx_tokenizer_token_id(p->tokenizer, formats[i].mark, &mark))
            return GX_OK;
    }
    return gx_fail(error, GX_ERROR_UNSUPPORTED,
                   "the tokenizer has no turn tokens: this is a base model, which continues text and does not chat");
}

static gx_status append_text(prompt *p, const char *text, gx_error *error)
{
    return gx_tokenizer_encode(p->tokenizer, text, strlen(text), GX_ENCODE_SPECIAL_AS_TEXT, p->ids, error);
}

static void trim(const char **text, size_t *nbytes)
{
    const size_t leading = gx_utf8_leading_space(*text, *nbytes, GX_SPACE_PYTHON);
    *text += leading;
    *nbytes -= leading;
    *nbytes -= gx_utf8_trailing_space(*text, *nbytes, GX_SPACE_PYTHON);
}

/* `preface`: a system message that opens this turn, NULL: none; it is not trimmed, as in the published template. */
static gx_status append_turn(prompt *p, const gx_chat_message *message, const gx_chat_message *preface, gx_error *error)
{
    const char *content = message->content;
    size_t nbytes = message->nbytes;
    trim(&content, &nbytes);
    gx_buffer_clear(&p->text);
    gx_buffer_printf(&p->text, "%s\n", role_names[message->role]);
    if (preface) {
        gx_buffer_append(&p->text, preface->content, preface->nbytes);
        gx_buffer_append_text(&p->text, "\n\n");
    }
    gx_buffer_append(&p->text, content, nbytes);
    GX_TRY(gx_buffer_check(&p->text, error));
    GX_TRY(gx_token_ids_append(p->ids, p->turn_start, error));
    GX_TRY(gx_tokenizer_encode(p->tokenizer, (const char *)p->text.data, p->text.nbytes, GX_ENCODE_SPECIAL_AS_TEXT, p->ids, error));
    GX_TRY(gx_token_ids_append(p->ids, p->turn_end, error));
    return append_text(p, "\n", error);
}

static gx_status check_roles(const prompt *p, const gx_chat_message *messages, size_t count, gx_error *error)
{
    const size_t first = count > 0 && messages[0].role == GX_CHAT_SYSTEM;
    if (first && p->format->system == SYSTEM_REFUSED)
        return gx_fail(error, GX_ERROR_UNSUPPORTED,
                       "this model's chat format knows no system message; put it into the user's first message");
    if (first == count)
        return gx_fail(error, GX_ERROR_ARGUMENT, "the conversation has no user message");
    for (size_t i = first; i < count; i++) {
        const gx_chat_role expected = (i - first) % 2 == 0 ? GX_CHAT_USER : GX_CHAT_ASSISTANT;
        if (messages[i].role != expected)
            return gx_fail(error, GX_ERROR_ARGUMENT, "message %zu of the conversation is the %s's, expected the %s's: the two take turns",
                           i + 1, role_names[messages[i].role], role_names[expected]);
    }
    return GX_OK;
}

static gx_status append_prompt(prompt *p, const gx_chat_message *messages, size_t count, bool reply, gx_error *error)
{
    GX_TRY(find_format(p, error));
    GX_TRY(check_roles(p, messages, count, error));
    if (gx_tokenizer_token_id(p->tokenizer, "<bos>", &p->bos))
        GX_TRY(gx_token_ids_append(p->ids, p->bos, error));
    const bool prefaced = messages[0].role == GX_CHAT_SYSTEM && p->format->system == SYSTEM_IN_FIRST_USER_TURN;
    for (size_t i = prefaced; i < count; i++)
        GX_TRY(append_turn(p, &messages[i], prefaced && i == 1 ? &messages[0] : NULL, error));
    if (!reply)
        return GX_OK;
    GX_TRY(gx_token_ids_append(p->ids, p->turn_start, error));
    return append_text(p, "model\n", error);
}

gx_status gx_chat_encode(const gx_tokenizer *tokenizer, const gx_chat_message *messages, size_t count, bool reply, gx_token_ids *ids,
                         gx_error *error)
{
    const size_t before = ids->count;
    prompt p = {.tokenizer = tokenizer, .ids = ids};
    const gx_status status = append_prompt(&p, messages, count, reply, error);
    if (status != GX_OK)
        ids->count = before;
    gx_buffer_deinit(&p.text);
    return status;
}

gx_status gx_chat_turn_end(const gx_tokenizer *tokenizer, int64_t *id, gx_error *error)
{
    prompt p = {.tokenizer = tokenizer};
    GX_TRY(find_format(&p, error));
    *id = p.turn_end;
    return GX_OK;
}
