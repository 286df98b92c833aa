/* What errors cost in the weights that read the residual stream, from the norms' weights (quant/importance.h). */
#ifndef GX_PIPELINE_STREAM_IMPORTANCE_H
#define GX_PIPELINE_STREAM_IMPORTANCE_H

#include "graph/decoder.h"

/* In the arena; NULL in *out for families without post-norms, where the stream is unknown. Reads the norm vectors. */
gx_status gx_stream_importance(const gx_decoder_importance **out, gx_arena *arena, const gx_model *model, gx_error *error) GX_MUST_USE;

#endif
