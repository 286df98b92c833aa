/* Text to ids: repair, find added tokens, replace spaces, find added tokens again, merge what is left between them. */
#include <string.h>

#include "tokenizer/internal.h"
#include "tokenizer/utf8.h"

/* Spaces triple, and positions are 32 bits wide. */
#define LONGEST_TEXT ((size_t)1 << 30)

typedef struct encoding {
    const gx_tokenizer *tokenizer;
    bool special_as_text;
    gx_bpe *bpe;
    gx_buffer normalized;
    gx_token_ids *ids;
} encoding;

gx_status gx_token_ids_append(gx_token_ids *ids, int64_t id, gx_error *error)
{
    if (ids->count == ids->capacity) {
        const size_t capacity = ids->capacity ? ids->capacity * 2 : 64;
        int64_t *grown = gx_realloc(ids->ids, capacity, sizeof *grown);
        if (!grown)
            return gx_fail_memory(error);
        ids->ids = grown;
        ids->capacity = capacity;
    }
    ids->ids[ids->count++] = id;
    return GX_OK;
}

void gx_token_ids_deinit(gx_token_ids *ids)
{
    gx_free(ids->ids);
    *ids = (gx_token_ids){0};
}

void gx_normalize_append(gx_buffer *buffer, const char *text, size_t nbytes)
{
    while (nbytes > 0) {
        const char *space = memchr(text, ' ', nbytes);
        const size_t plain = space ? (size_t)(space - text) : nbytes;
        gx_buffer_append(buffer, text, plain);
        if (!space)
            return;
        gx_buffer_append_text(buffer, GX_WORD_START);
        text += plain + 1;
        nbytes -= plain + 1;
    }
}

/* A stretch in which no token is left that matches raw text. */
static gx_status encode_stretch(encoding *e, const char *text, size_t nbytes, gx_error *error)
{
    gx_buffer_clear(&e->normalized);
    gx_normalize_append(&e->normalized, text, nbytes);
    GX_TRY(gx_buffer_check(&e->normalized, error));
    gx_added_scan scan = {.set = &e->tokenizer->normalized,
                          .text = (const char *)e->normalized.data,
                          .nbytes = e->normalized.nbytes,
                          .special_as_text = e->special_as_text};
    for (const gx_added_token *token = NULL;;) {
        size_t start, end;
        token = gx_added_scan_next(&scan, &start, &end);
        if (end > start)
            GX_TRY(gx_bpe_encode(e->bpe, scan.text + start, end - start, e->ids, error));
        if (!token)
            return GX_OK;
        GX_TRY(gx_token_ids_append(e->ids, token->id, error));
    }
}

static gx_status encode_text(encoding *e, const char *text, size_t nbytes, gx_error *error)
{
    gx_added_scan scan = {.set = &e->tokenizer->raw, .text = text, .nbytes = nbytes, .special_as_text = e->special_as_text};
    for (const gx_added_token *token = NULL;;) {
        size_t start, end;
        token = gx_added_scan_next(&scan, &start, &end);
        if (end > start)
            GX_TRY(encode_stretch(e, text + start, end - start, error));
        if (!token)
            return GX_OK;
        GX_TRY(gx_token_ids_append(e->ids, token->id, error));
    }
}

static gx_status encode_repaired(encoding *e, const char *text, size_t nbytes, gx_error *error)
{
    if (gx_utf8_is_valid(text, nbytes))
        return encode_text(e, text, nbytes, error);
    gx_buffer repaired = {0};
    gx_utf8_append_repaired(&repaired, text, nbytes);
    gx_status status = gx_buffer_check(&repaired, error);
    if (status == GX_OK)
        status = encode_text(e, (const char *)repaired.data, repaired.nbytes, error);
    gx_buffer_deinit(&repaired);
    return status;
}

static gx_status append_side(gx_token_ids *ids, const gx_template_side *side, gx_error *error)
{
    for (size_t i = 0; i < side->count; i++)
        GX_TRY(gx_token_ids_append(ids, side->ids[i], error));
    return GX_OK;
}

static gx_status encode_with_template(encoding *e, const char *text, size_t nbytes, bool with_template, gx_error *error)
{
    const gx_template *template = &e->tokenizer->template;
    if (with_template)
        GX_TRY(append_side(e->ids, &template->before, error));
    GX_TRY(encode_repaired(e, text, nbytes, error));
    return with_template ? append_side(e->ids, &template->after, error) : GX_OK;
}

gx_status gx_tokenizer_encode(const gx_tokenizer *tokenizer, const char *text, size_t nbytes, unsigned flags, gx_token_ids *ids,
                              gx_error *error)
{
    if (nbytes > LONGEST_TEXT)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a text of %zu bytes, expected at most %zu", nbytes, LONGEST_TEXT);
    const size_t count = ids->count;
    encoding e = {.tokenizer = tokenizer, .special_as_text = flags & GX_ENCODE_SPECIAL_AS_TEXT, .bpe = gx_bpe_new(tokenizer), .ids = ids};
    gx_status status = e.bpe ? encode_with_template(&e, text, nbytes, flags & GX_ENCODE_WITH_TEMPLATE, error) : gx_fail_memory(error);
    if (status != GX_OK)
        ids->count = count;
    gx_bpe_free(e.bpe);
    gx_buffer_deinit(&e.normalized);
    return status;
}
