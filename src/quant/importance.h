/*
 * What a squared error costs in each input channel of a linear weight: the channel's mean square, estimated from norm
 * weights alone, without running the model. An RMSNorm's output has mean square weight² in each channel, as far as its
 * input's channels are alike. So, where every branch ends in a norm, the residual stream gathers the squares of these
 * norms' weights, and a weight that reads the stream through a norm sees weight² * stream / mean(stream). Against measured
 * mean squares of a real model the logarithms correlate with 0.7 to 0.95 (docs/quantisation.md). Weights of norms include
 * the 1 that some families add.
 *
 * Where branches do not end in a norm, the stream is unknown: weigh nothing there. (Weighing by the reading norm alone is
 * worse than weighing nothing: that norm undoes what it finds in the stream.)
 *
 * Balancing: columns that matter get finer steps when they are stored larger, at the cost of the others of their block. A column is
 * stored times importance^(1/4), and the norm in front, which costs nothing, gives that much less: the product is the same.
 * What an error costs then is importance^(1/2). (Known as AWQ, which measures activations; here they are estimated.)
 */
#ifndef GX_QUANT_IMPORTANCE_H
#define GX_QUANT_IMPORTANCE_H

#include <stddef.h>

/* The stream after the embedding: mean square 1 in every channel. */
void gx_importance_start(double *stream, size_t channels);

/* A branch joined the stream through a norm with these weights. */
void gx_importance_add(double *stream, const float *norm, size_t channels);

/* Of the columns of a weight that reads the stream through a norm with these weights: positive, around 1. */
void gx_importance_read(float *out, const double *stream, const float *norm, size_t channels);

/* Spreads an importance over the columns' scales and itself: balance and inverse receive one factor a channel, and importance what is left. */
void gx_importance_balance(float *importance, float *balance, float *inverse, size_t channels);

#endif
