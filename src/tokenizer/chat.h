/*
 * Chat prompts: a conversation as the ids that an instruction-tuned Gemma was trained on. Which turn format it is, the
 * tokenizer's vocabulary tells. What people write is text and nothing else: "<end_of_turn>" in it ends no turn.
 */
#ifndef GX_TOKENIZER_CHAT_H
#define GX_TOKENIZER_CHAT_H

#include "tokenizer/tokenizer.h"

typedef enum gx_chat_role { GX_CHAT_SYSTEM, GX_CHAT_USER, GX_CHAT_ASSISTANT } gx_chat_role;

typedef struct gx_chat_message {
    gx_chat_role role;
    const char *content; /* any bytes */
    size_t nbytes;
} gx_chat_message;

/* Appends the prompt's ids, <bos> first. `reply`: the prompt ends where the model's turn begins. A system message may come
 * first; then users and assistants take turns, a user first: else GX_ERROR_ARGUMENT. A vocabulary without turn tokens, or
 * a system message to a family that knows none, is GX_ERROR_UNSUPPORTED. */
gx_status gx_chat_encode(const gx_tokenizer *tokenizer, const gx_chat_message *messages, size_t count, bool reply, gx_token_ids *ids,
                         gx_error *error) GX_MUST_USE;

/* The id of the token that ends a turn, which ends the model's reply, too. */
gx_status gx_chat_turn_end(const gx_tokenizer *tokenizer, int64_t *id, gx_error *error) GX_MUST_USE;

#endif
