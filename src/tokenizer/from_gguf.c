/* The text of tokenizer.json and tokenizer_config.json, line by line. */
#include <string.h>

#include "tokenizer/gguf_pieces.h"
#include "tokenizer/json_text.h"
#include "tokenizer/scored_merges.h"

typedef struct writing {
    gx_json_text out;
    const gx_gguf_tokenizer *source;
    gx_vocabulary vocabulary;
    bool first; /* no comma yet */
} writing;

static void separate(writing *w)
{
    gx_json_text_raw(&w->out, w->first ? "\n" : ",\n");
    w->first = false;
}

static void write_piece(writing *w, uint32_t id)
{
    const gx_piece piece = gx_vocabulary_piece(&w->vocabulary, id);
    gx_json_text_string(&w->out, piece.bytes, piece.nbytes);
}

static void write_added(writing *w)
{
    gx_json_text_raw(&w->out, "  \"added_tokens\": [");
    w->first = true;
    for (uint32_t id = 0; id < w->vocabulary.count; id++) {
        if (!gx_gguf_is_added(w->source, id))
            continue;
        separate(w);
        gx_json_text_raw(&w->out, "    {\"id\": ");
        gx_json_text_number(&w->out, id);
        gx_json_text_raw(&w->out, ", \"content\": ");
        write_piece(w, id);
        gx_json_text_raw(&w->out, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": ");
        gx_json_text_raw(&w->out, gx_gguf_is_special(w->source, id) ? "true}" : "false}");
    }
    gx_json_text_raw(&w->out, "\n  ],\n");
}

/* ---- the template ---- */

static void write_template_token(writing *w, int64_t id)
{
    gx_json_text_raw(&w->out, "{\"SpecialToken\": {\"id\": ");
    write_piece(w, (uint32_t)id);
    gx_json_text_raw(&w->out, ", \"type_id\": ");
}

/* One text of the template, with the tokens around it. */
static void write_template_text(writing *w, const char *text, const char *type_id, bool with_bos, bool with_eos)
{
    if (with_bos) {
        write_template_token(w, w->source->bos);
        gx_json_text_raw(&w->out, type_id);
        gx_json_text_raw(&w->out, "}}, ");
    }
    gx_json_text_raw(&w->out, "{\"Sequence\": {\"id\": \"");
    gx_json_text_raw(&w->out, text);
    gx_json_text_raw(&w->out, "\", \"type_id\": ");
    gx_json_text_raw(&w->out, type_id);
    gx_json_text_raw(&w->out, "}}");
    if (with_eos) {
        gx_json_text_raw(&w->out, ", ");
        write_template_token(w, w->source->eos);
        gx_json_text_raw(&w->out, type_id);
        gx_json_text_raw(&w->out, "}}");
    }
}

static void write_template_ids(writing *w, int64_t id)
{
    separate(w);
    gx_json_text_raw(&w->out, "      ");
    write_piece(w, (uint32_t)id);
    gx_json_text_raw(&w->out, ": {\"id\": ");
    write_piece(w, (uint32_t)id);
    gx_json_text_raw(&w->out, ", \"ids\": [");
    gx_json_text_number(&w->out, (uint64_t)id);
    gx_json_text_raw(&w->out, "], \"tokens\": [");
    write_piece(w, (uint32_t)id);
    gx_json_text_raw(&w->out, "]}");
}

static void write_template(writing *w)
{
    const bool bos = w->source->add_bos && w->source->bos >= 0, eos = w->source->add_eos && w->source->eos >= 0;
    gx_json_text_raw(&w->out, "  \"post_processor\": {\n    \"type\": \"TemplateProcessing\",\n    \"single\": [");
    write_template_text(w, "A", "0", bos, eos);
    gx_json_text_raw(&w->out, "],\n    \"pair\": [");
    write_template_text(w, "A", "0", bos, eos);
    gx_json_text_raw(&w->out, ", ");
    write_template_text(w, "B", "1", bos, eos);
    gx_json_text_raw(&w->out, "],\n    \"special_tokens\": {");
    w->first = true;
    if (bos)
        write_template_ids(w, w->source->bos);
    if (eos && !(bos && w->source->bos == w->source->eos))
        write_template_ids(w, w->source->eos);
    gx_json_text_raw(&w->out, "\n    }\n  },\n");
}

/* ---- the model ---- */

static void write_merge(void *context, gx_piece left, gx_piece right)
{
    writing *w = context;
    separate(w);
    gx_json_text_raw(&w->out, "[");
    gx_json_text_string(&w->out, left.bytes, left.nbytes);
    gx_json_text_raw(&w->out, ",");
    gx_json_text_string(&w->out, right.bytes, right.nbytes);
    gx_json_text_raw(&w->out, "]");
}

static gx_status write_merges(writing *w, gx_error *error)
{
    w->first = true;
    if (!w->source->merged_kind)
        return gx_scored_merges_each(&w->vocabulary, w->source, write_merge, w, error);
    for (size_t i = 0; i < w->source->merge_count; i++) { /* checked: one space */
        const gx_gguf_piece *pair = &w->source->merges[i];
        const uint32_t left = (uint32_t)((const char *)memchr(pair->bytes, ' ', pair->nbytes) - pair->bytes);
        write_merge(w, (gx_piece){.bytes = pair->bytes, .nbytes = left}, (gx_piece){.bytes = pair->bytes + left + 1, .nbytes = (uint32_t)pair->nbytes - left - 1});
    }
    return GX_OK;
}

static gx_status write_model(writing *w, gx_error *error)
{
    gx_json_text_raw(&w->out, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ");
    if (w->source->unknown >= 0)
        write_piece(w, (uint32_t)w->source->unknown);
    else
        gx_json_text_raw(&w->out, "null");
    gx_json_text_raw(&w->out, ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": true,\n"
                              "    \"byte_fallback\": true,\n    \"ignore_merges\": false,\n    \"vocab\": {");
    w->first = true;
    for (uint32_t id = 0; id < w->vocabulary.count; id++) {
        separate(w);
        write_piece(w, id);
        gx_json_text_raw(&w->out, ":");
        gx_json_text_number(&w->out, id);
    }
    gx_json_text_raw(&w->out, "\n    },\n    \"merges\": [");
    const gx_status status = write_merges(w, error);
    gx_json_text_raw(&w->out, "\n    ]\n  }\n}\n");
    return status;
}

static const char steps_before[] =
    "  \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\xE2\x96\x81\"},\n"
    "  \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": \"MergedWithPrevious\", \"invert\": "
    "false},\n";
static const char steps_after[] = "  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
                                  "{\"String\": \"\xE2\x96\x81\"}, \"content\": \" \"}, "
                                  "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}]},\n";

static gx_status write_all(writing *w, gx_error *error)
{
    gx_json_text_raw(&w->out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    write_added(w);
    gx_json_text_raw(&w->out, steps_before);
    write_template(w);
    gx_json_text_raw(&w->out, steps_after);
    return write_model(w, error);
}

gx_status gx_gguf_tokenizer_write(const gx_gguf_tokenizer *source, gx_text_sink sink, gx_error *error)
{
    GX_TRY(gx_gguf_tokenizer_check(source, error));
    writing w = {.out = {.sink = sink, .error = error}, .source = source};
    gx_arena *arena = gx_arena_new();
    gx_status status = arena ? gx_gguf_pieces_build(&w.vocabulary, arena, source, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = write_all(&w, error);
    const gx_status written = gx_json_text_finish(&w.out);
    gx_arena_free(arena);
    return status != GX_OK ? status : written;
}

/* ---- tokenizer_config.json ---- */

static void write_config_token(writing *w, const char *key, int64_t id)
{
    if (id < 0)
        return;
    separate(w);
    gx_json_text_raw(&w->out, "  \"");
    gx_json_text_raw(&w->out, key);
    gx_json_text_raw(&w->out, "\": ");
    gx_json_text_string(&w->out, w->source->pieces[id].bytes, w->source->pieces[id].nbytes);
}

static void write_config_raw(writing *w, const char *text)
{
    separate(w);
    gx_json_text_raw(&w->out, text);
}

static void write_config(writing *w)
{
    const gx_gguf_tokenizer *source = w->source;
    gx_json_text_raw(&w->out, "{");
    w->first = true;
    write_config_raw(w, source->add_bos ? "  \"add_bos_token\": true" : "  \"add_bos_token\": false");
    write_config_raw(w, source->add_eos ? "  \"add_eos_token\": true" : "  \"add_eos_token\": false");
    write_config_token(w, "bos_token", source->bos);
    write_config_token(w, "eos_token", source->eos);
    write_config_token(w, "pad_token", source->padding);
    write_config_token(w, "unk_token", source->unknown);
    if (source->chat_template) {
        write_config_raw(w, "  \"chat_template\": ");
        gx_json_text_string(&w->out, source->chat_template, strlen(source->chat_template));
    }
    write_config_raw(w, "  \"clean_up_tokenization_spaces\": false");
    if (source->longest) {
        write_config_raw(w, "  \"model_max_length\": ");
        gx_json_text_number(&w->out, source->longest);
    }
    write_config_raw(w, "  \"padding_side\": \"left\"");
    write_config_raw(w, "  \"spaces_between_special_tokens\": false");
    write_config_raw(w, "  \"tokenizer_class\": \"GemmaTokenizer\"");
    gx_json_text_raw(&w->out, "\n}\n");
}

gx_status gx_gguf_tokenizer_config_write(const gx_gguf_tokenizer *source, gx_text_sink sink, gx_error *error)
{
    GX_TRY(gx_gguf_tokenizer_check(source, error));
    writing w = {.out = {.sink = sink, .error = error}, .source = source};
    write_config(&w);
    return gx_json_text_finish(&w.out);
}
