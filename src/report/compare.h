/* Two sets of logits against each other, row by row: errors, Kullback-Leibler divergence, the likeliest id, perplexity. */
#ifndef GX_REPORT_COMPARE_H
#define GX_REPORT_COMPARE_H

#include "base/error.h"

/* What one position says. */
typedef struct gx_comparison_row {
    double kl;             /* nats: sum over ids of p (log p - log q), p from `expected` */
    double max_error;      /* largest |found - expected| */
    double error_sum;      /* of |found - expected| */
    double deviation;      /* standard deviation of `expected` */
    bool same_top;         /* the same likeliest id; the lowest of equals */
    double expected_log_probability; /* of `next`; 0 when next is negative */
    double found_log_probability;
    bool finite; /* no NaN, no infinity in `found` */
} gx_comparison_row;

/* expected, found: [vocabulary]. next: the id that really follows, or -1. */
gx_comparison_row gx_compare_row(const float *expected, const float *found, size_t vocabulary, int64_t next);

/* Rows [count, vocabulary] in parallel; next [count] or NULL. rows: [count]. */
gx_status gx_compare_rows(gx_comparison_row *rows, const float *expected, const float *found, size_t count, size_t vocabulary,
                          const int64_t *next, unsigned threads, gx_error *error) GX_MUST_USE;

typedef struct gx_comparison {
    size_t positions, predicted; /* predicted: those with a next id */
    double mean_kl, max_kl;
    double max_error, mean_error; /* in logits */
    double standard_deviation;    /* of the expected logits within a position, on average: positions differ in their mean, which changes nothing */
    double same_top;              /* share of positions, 0 … 1 */
    double expected_perplexity, found_perplexity;
    bool finite;
} gx_comparison;

/* Summary of rows; count may be 0. `next` as above. */
gx_comparison gx_comparison_summarise(const gx_comparison_row *rows, size_t count, size_t vocabulary, const int64_t *next);

#endif
