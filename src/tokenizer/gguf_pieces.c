/* What a GGUF writes differently from a tokenizer.json, and the checks on its arrays. */
#include <math.h>
#include <string.h>

#include "tokenizer/gguf_pieces.h"
#include "tokenizer/utf8.h"

#define LONGEST_PIECE 1024u /* bytes; Gemma's longest has 93. Working out merges is quadratic in it */

#define WORD_START "\xE2\x96\x81"

/* ---- checks ---- */

static gx_status check_id(const gx_gguf_tokenizer *source, const char *key, int64_t id, gx_error *error)
{
    if (id >= -1 && id < (int64_t)source->count)
        return GX_OK;
    return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.ggml.%s' is %lld, expected an id below %zu", source->name, key, (long long)id,
                   source->count);
}

static gx_status check_token(const gx_gguf_tokenizer *source, size_t id, gx_error *error)
{
    const gx_gguf_piece *piece = &source->pieces[id];
    if (piece->nbytes == 0 || piece->nbytes > LONGEST_PIECE)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.ggml.tokens': token %zu is %zu bytes long, expected 1 to %u", source->name,
                       id, piece->nbytes, LONGEST_PIECE);
    if (!gx_utf8_is_valid(piece->bytes, piece->nbytes))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.ggml.tokens': token %zu is not valid UTF-8", source->name, id);
    if (source->types[id] < GX_GGUF_NORMAL || source->types[id] > GX_GGUF_BYTE)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.ggml.token_type': token %zu has type %lld, expected 1 to 6", source->name,
                       id, (long long)source->types[id]);
    if (!isfinite(source->scores[id]))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.ggml.scores': the score of token %zu is not a finite number", source->name,
                       id);
    return GX_OK;
}

/* A pair is written with the one space in it: in pieces, spaces are something else. */
static gx_status check_merges(const gx_gguf_tokenizer *source, gx_error *error)
{
    for (size_t i = 0; i < source->merge_count; i++) {
        const gx_gguf_piece *pair = &source->merges[i];
        const char *space = memchr(pair->bytes, ' ', pair->nbytes);
        const char *end = pair->bytes + pair->nbytes;
        if (!space || space == pair->bytes || space + 1 == end || memchr(space + 1, ' ', (size_t)(end - space - 1)) || !gx_utf8_is_valid(pair->bytes, pair->nbytes))
            return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.ggml.merges': entry %zu is not two pieces with a space between", source->name, i);
    }
    return GX_OK;
}

static gx_status check_kind(const gx_gguf_tokenizer *source, gx_error *error)
{
    const char *kind = source->kind ? source->kind : "missing", *expected = source->merged_kind ? source->merged_kind : "llama";
    if (strcmp(kind, expected) != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED,
                       "%s: 'tokenizer.ggml.model' is '%s', expected '%s'; use a Hugging Face folder of this model, which has a tokenizer.json", source->name, kind,
                       expected);
    if (source->merged_kind && !source->merges)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no list 'tokenizer.ggml.merges', which a tokenizer of kind '%s' has", source->name, kind);
    return GX_OK;
}

gx_status gx_gguf_tokenizer_check(const gx_gguf_tokenizer *source, gx_error *error)
{
    GX_TRY(check_kind(source, error));
    if (!source->pieces || !source->scores || !source->types || source->count == 0 || source->count > GX_MAX_TOKENS)
        return gx_fail(error, GX_ERROR_FORMAT,
                       "%s: 'tokenizer.ggml.tokens', 'scores' and 'token_type' must be arrays of the same length, 1 to %u", source->name,
                       GX_MAX_TOKENS);
    GX_TRY(check_id(source, "bos_token_id", source->bos, error));
    GX_TRY(check_id(source, "eos_token_id", source->eos, error));
    GX_TRY(check_id(source, "unknown_token_id", source->unknown, error));
    GX_TRY(check_id(source, "padding_token_id", source->padding, error));
    for (size_t id = 0; id < source->count; id++)
        GX_TRY(check_token(source, id, error));
    GX_TRY(check_merges(source, error));
    if (source->chat_template && !gx_utf8_is_valid(source->chat_template, strlen(source->chat_template)))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'tokenizer.chat_template' is not valid UTF-8", source->name);
    return GX_OK;
}

/* ---- differences in writing ---- */

/* llama.cpp's converter writes user-defined pieces with real spaces. */
static gx_status restore_spaces(gx_piece *piece, gx_arena *arena, gx_error *error)
{
    char *text = gx_arena_alloc(arena, piece->nbytes, sizeof WORD_START - 1);
    if (!text)
        return gx_fail_memory(error);
    uint32_t nbytes = 0;
    for (uint32_t i = 0; i < piece->nbytes; i++) {
        const bool space = piece->bytes[i] == ' ';
        memcpy(text + nbytes, space ? WORD_START : piece->bytes + i, space ? sizeof WORD_START - 1 : 1);
        nbytes += space ? (uint32_t)sizeof WORD_START - 1 : 1;
    }
    *piece = (gx_piece){.bytes = text, .nbytes = nbytes};
    return GX_OK;
}

static bool is_text(const gx_piece *piece, const char *text)
{
    return piece->nbytes == strlen(text) && memcmp(piece->bytes, text, piece->nbytes) == 0;
}

/* A vocabulary without a tab, as the first Gemmas', has it under the id of its byte token. */
static void name_tab(gx_piece *pieces, size_t count)
{
    gx_piece *byte = NULL;
    for (size_t i = 0; i < count; i++) {
        if (is_text(&pieces[i], "\t"))
            return;
        if (is_text(&pieces[i], "<0x09>"))
            byte = &pieces[i];
    }
    if (byte)
        *byte = (gx_piece){.bytes = "\t", .nbytes = 1};
}

static gx_status fill_pieces(gx_piece *pieces, gx_arena *arena, const gx_gguf_tokenizer *source, gx_error *error)
{
    for (size_t id = 0; id < source->count; id++) {
        pieces[id] = (gx_piece){.bytes = source->pieces[id].bytes, .nbytes = (uint32_t)source->pieces[id].nbytes};
        if (source->types[id] == GX_GGUF_USER_DEFINED && memchr(pieces[id].bytes, ' ', pieces[id].nbytes))
            GX_TRY(restore_spaces(&pieces[id], arena, error));
    }
    name_tab(pieces, source->count);
    return GX_OK;
}

gx_status gx_gguf_pieces_build(gx_vocabulary *out, gx_arena *arena, const gx_gguf_tokenizer *source, gx_error *error)
{
    gx_piece *pieces = gx_alloc(source->count, sizeof *pieces);
    gx_status status = pieces ? fill_pieces(pieces, arena, source, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_vocabulary_build(out, arena, pieces, source->count, source->name, error);
    gx_free(pieces);
    return status;
}

/* ---- kinds of tokens ---- */

/* Names that decide, whatever the type says: a GGUF marks all of these as control or all as user-defined tokens, while the
 * published files tell markers of turns and media from spare ones. '*': any ending. */
static const struct {
    const char *name;
    bool special;
} named[] = {
    {"<start_of_turn>", true},    {"<end_of_turn>", true},    {"<start_of_image>", true}, {"<end_of_image>", true},
    {"<image_soft_token>", true}, {"<start_of_audio>", true}, {"<end_of_audio>", true},   {"<audio_soft_token>", true},
    {"<unused*", false},          {"<mask>", false},          {"<2mass>", false},         {"[@BOS@]", false},
};

static bool name_matches(const char *name, const gx_gguf_piece *piece)
{
    const size_t length = strlen(name);
    if (name[length - 1] == '*')
        return piece->nbytes >= length - 1 && memcmp(piece->bytes, name, length - 1) == 0;
    return piece->nbytes == length && memcmp(piece->bytes, name, length) == 0;
}

bool gx_gguf_is_added(const gx_gguf_tokenizer *source, uint32_t id)
{
    return source->types[id] == GX_GGUF_CONTROL || source->types[id] == GX_GGUF_UNKNOWN || source->types[id] == GX_GGUF_USER_DEFINED ||
           id == source->bos || id == source->eos || id == source->unknown || id == source->padding;
}

bool gx_gguf_is_special(const gx_gguf_tokenizer *source, uint32_t id)
{
    if (id == source->bos || id == source->eos || id == source->unknown || id == source->padding)
        return true;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (name_matches(named[i].name, &source->pieces[id]))
            return named[i].special;
    return source->types[id] == GX_GGUF_CONTROL || source->types[id] == GX_GGUF_UNKNOWN;
}

double gx_gguf_score(const gx_gguf_tokenizer *source, uint32_t id)
{
    return source->types[id] == GX_GGUF_NORMAL ? source->scores[id] : 0;
}
