/* An exported encoder: texts as ids go in, their embeddings come out. Ours or another tool's, dynamic or with fixed sizes. */
#ifndef GX_RUNTIME_ENCODER_H
#define GX_RUNTIME_ENCODER_H

#include "runtime/runtime.h"

typedef struct gx_encoder gx_encoder; /* one call at a time */

typedef struct gx_encoder_text {
    const int64_t *ids;
    size_t count; /* at least 1 */
} gx_encoder_text;

/* `session` must outlive it. GX_ERROR_FORMAT when the graph is no encoder: input_ids and attention_mask in, sentence_embedding out. */
gx_status gx_encoder_open(gx_encoder **out, gx_session *session, gx_error *error) GX_MUST_USE;
void gx_encoder_close(gx_encoder *encoder); /* NULL allowed */

size_t gx_encoder_dimension(const gx_encoder *encoder);  /* of an embedding */
size_t gx_encoder_max_length(const gx_encoder *encoder); /* ids of a text; 0: the graph does not say */
size_t gx_encoder_batch(const gx_encoder *encoder);      /* texts of a call, fewer are filled up; 0: as many as there are */

typedef enum gx_padding_side { GX_PAD_RIGHT, GX_PAD_LEFT } gx_padding_side;

/* One call. `embeddings` [count, dimension]; `hidden` [ids of all texts one after another, hidden_size] receives the last hidden states without those
 * of padding; NULL: not wanted. */
gx_status gx_encoder_run(gx_encoder *encoder, const gx_encoder_text *texts, size_t count, gx_padding_side side, float *embeddings, float *hidden,
                         gx_error *error) GX_MUST_USE;

#endif
