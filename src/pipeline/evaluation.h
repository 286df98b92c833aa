/* The ids that verify and bench measure on. */
#ifndef GX_PIPELINE_EVALUATION_H
#define GX_PIPELINE_EVALUATION_H

#include "base/arena.h"

/* `windows` times `window` ids, each window beginning with `bos_token_id` (negative: without): from `text_file`, or a
 * built-in text (NULL), by the tokenizer.json of `folder`; pseudo-random ids, the same on every run, without a tokenizer.json
 * or when its ids do not fit the vocabulary. A text that is too short is repeated. In the arena. */
gx_status gx_evaluation_ids(int64_t **out, gx_arena *arena, const char *folder, const char *text_file, uint32_t vocab_size,
                            int64_t bos_token_id, size_t windows, size_t window, gx_error *error) GX_MUST_USE;

/* tests/data/eval.txt, compiled in. */
extern const unsigned char gx_evaluation_text[];
extern const size_t gx_evaluation_text_nbytes;

#endif
