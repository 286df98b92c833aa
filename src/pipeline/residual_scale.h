/*
 * The scale of the residual stream in fp16 graphs. Gemma 3's stream reaches 103,821 in the real 270M; fp16 ends at 65,504.
 * Carrying s·x with s a power of two changes nothing else: every sub-layer begins with an RMSNorm, whose epsilon takes s².
 */
#ifndef GX_PIPELINE_RESIDUAL_SCALE_H
#define GX_PIPELINE_RESIDUAL_SCALE_H

#include "model/model.h"

/* The largest embedding value, after its multiplier, that the bound allows for; checked while the table streams by.
 * (The real 270M has 23.7.) */
#define GX_RESIDUAL_EMBEDDING_LIMIT 1024.0

/* A power of two in (0, 1] from a proven bound: an RMSNorm's output is at most sqrt(hidden_size)·|weight| in each
 * coordinate; added up over the layers, with the embedding's limit on top, s times it stays below the largest fp16 number.
 * 1 for families without post-norms, where there is no such bound. Reads the post-norm vectors. */
gx_status gx_residual_scale(double *out, const gx_model *model, gx_error *error) GX_MUST_USE;

/* Whether the bound holds for this model, so that the embedding's limit must be checked. */
bool gx_residual_is_bounded(const gx_model *model);

#endif
