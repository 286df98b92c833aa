/* The ids that verify and bench measure on. */
#ifndef GX_PIPELINE_EVALUATION_H
#define GX_PIPELINE_EVALUATION_H

#include "model/model.h"

/* `count` ids in windows of `window` ids, each beginning with the model's bos id: from `text_file`, or a built-in text, by
 * the tokenizer.json of `folder`; without one, pseudo-random ids (the same on every run). A text that is too short is
 * repeated. In the arena. */
gx_status gx_evaluation_ids(int64_t **out, gx_arena *arena, const char *folder, const char *text_file, const gx_model *model, size_t windows,
                            size_t window, gx_error *error) GX_MUST_USE;

#endif
