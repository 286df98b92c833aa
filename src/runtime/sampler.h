/*
 * Which id comes next: the likeliest, or one drawn from the likeliest few. The same seed, options and logits give the same
 * ids on every run. Knows nothing of ONNX Runtime.
 */
#ifndef GX_RUNTIME_SAMPLER_H
#define GX_RUNTIME_SAMPLER_H

#include "base/error.h"

typedef struct gx_sampler_options {
    double temperature; /* 0: always the likeliest id, the lowest one among equals */
    size_t top_k;       /* draw from the k likeliest ids only; 0: all */
    double top_p;       /* … and of these from the fewest that hold this much of the probability; 1: all */
    uint64_t seed;
} gx_sampler_options;

typedef struct gx_sampler gx_sampler; /* one per generated text */

/* GX_ERROR_ARGUMENT for a temperature below 0 or not finite, or a top_p outside (0, 1]. */
gx_status gx_sampler_new(gx_sampler **out, const gx_sampler_options *options, size_t vocabulary, gx_error *error) GX_MUST_USE;
void gx_sampler_free(gx_sampler *sampler); /* NULL allowed */

/* `vocabulary` logits, as many as given to gx_sampler_new (GX_ERROR_ARGUMENT). GX_ERROR_MISMATCH when one is NaN or the
 * largest is infinite: the model's arithmetic broke down. */
gx_status gx_sampler_next(gx_sampler *sampler, const float *logits, size_t vocabulary, int64_t *out, gx_error *error) GX_MUST_USE;

#endif
