/* What a loaded tokenizer consists of; seen by this folder only. */
#ifndef GX_TOKENIZER_INTERNAL_H
#define GX_TOKENIZER_INTERNAL_H

#include "base/json.h"
#include "tokenizer/added.h"
#include "tokenizer/merges.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

#define GX_WORD_START "\xE2\x96\x81" /* U+2581, which stands for a space */

#define GX_TEMPLATE_IDS 16u

typedef struct gx_template_side {
    uint32_t ids[GX_TEMPLATE_IDS];
    size_t count;
} gx_template_side;

typedef struct gx_template {
    gx_template_side before, after; /* the text */
} gx_template;

struct gx_tokenizer {
    gx_arena *arena;
    gx_vocabulary vocabulary;
    gx_merges merges;
    uint32_t unknown;       /* or GX_NO_TOKEN: unknown characters vanish */
    bool join_unknown;      /* neighbouring unknown characters are one token */
    uint32_t byte_ids[256]; /* or GX_NO_TOKEN */
    const gx_added_token *added;
    size_t added_count;
    gx_added_set raw, normalized; /* matched before and after spaces are replaced */
    bool *special;                /* [vocabulary.count] */
    gx_template template;
};

/* Appends the ids of a text without added tokens, spaces already replaced, valid UTF-8. */
typedef struct gx_bpe gx_bpe;                      /* scratch of one encode call */
gx_bpe *gx_bpe_new(const gx_tokenizer *tokenizer); /* NULL when memory is out */
void gx_bpe_free(gx_bpe *bpe);
gx_status gx_bpe_encode(gx_bpe *bpe, const char *text, size_t nbytes, gx_token_ids *ids, gx_error *error) GX_MUST_USE;

/* Spaces become U+2581. */
void gx_normalize_append(gx_buffer *buffer, const char *text, size_t nbytes);

/* Parts of loading. Each checks its part of the file and fills its part of the tokenizer. */
gx_status gx_load_check_steps(yyjson_val *root, const char *name, gx_error *error) GX_MUST_USE;
gx_status gx_load_template(gx_tokenizer *tokenizer, yyjson_val *root, const char *name, gx_error *error) GX_MUST_USE;
gx_status gx_load_model(gx_tokenizer *tokenizer, yyjson_val *model, yyjson_val *added, const char *name, gx_error *error) GX_MUST_USE;
gx_status gx_load_added(gx_tokenizer *tokenizer, yyjson_val *added, const char *name, gx_error *error) GX_MUST_USE;

#endif
