/*
 * config.json as a bound model needs it. Both dialects are read: Transformers 4 ("rope_theta", "rope_local_base_freq",
 * "rope_scaling") and 5 ("rope_parameters"). What Transformers itself ignores is ignored, with a note.
 */
#ifndef GX_MODEL_CONFIG_H
#define GX_MODEL_CONFIG_H

#include "model/family.h"

/* The source's config: config.json of the folder, or one made from GGUF metadata (gguf_config.c). */
struct gx_config_source {
    const char *name;          /* for messages */
    yyjson_doc *doc;           /* owned */
    yyjson_val *root;          /* top level */
    yyjson_val *text;          /* the decoder's keys: root, or root's "text_config" */
    const gx_family *family;
};

/* Finds the family by architecture and model_type; refuses what is no Gemma of ours by what it is. */
gx_status gx_config_open(gx_config_source *out, const gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;
gx_status gx_config_open_text(gx_config_source *out, const char *name, const char *text, gx_error *error) GX_MUST_USE; /* `name` must outlive it */
void gx_config_close(gx_config_source *source);

/* Fills everything in `model` that comes from the config: sizes, layers (without weights), ids. Notes go to the arena. */
gx_status gx_config_read(gx_model *model, gx_arena *arena, const gx_config_source *source, gx_error *error) GX_MUST_USE;

/* config.json of the text decoder to write beside the output. */
gx_status gx_config_for_output(yyjson_mut_doc **out, bool *is_source, const gx_config_source *source, gx_error *error) GX_MUST_USE;

/* Puts that config into the one with which Transformers.js loads the family's decoder as two graphs; where it takes one, nothing. */
gx_status gx_config_put_apart(yyjson_mut_doc *config, const gx_family *family, gx_error *error) GX_MUST_USE;

/* The config of a GGUF file, as JSON text in `out`. */
gx_status gx_gguf_config(gx_buffer *out, const gx_checkpoint *checkpoint, gx_error *error) GX_MUST_USE;

/* Appends a sentence to model->notes. */
gx_status gx_model_note(gx_model *model, gx_arena *arena, gx_error *error, const char *format, ...) GX_PRINTF(4, 5);

#endif
