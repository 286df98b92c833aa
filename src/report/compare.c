/* Sums in double: a vocabulary has 262,144 terms. */
#include <math.h>

#include "base/threads.h"
#include "report/compare.h"

static double log_sum_exp(const float *logits, size_t n, float largest)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)expf(logits[i] - largest);
    return (double)largest + log(sum);
}

static size_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

static bool all_finite(const float *logits, size_t n)
{
    float sum = 0; /* of zeros, unless a value is NaN or infinite */
    for (size_t i = 0; i < n; i++)
        sum += logits[i] * 0.0f;
    return sum == 0;
}

gx_comparison_row gx_compare_row(const float *expected, const float *found, size_t vocabulary, int64_t next)
{
    gx_comparison_row row = {.finite = all_finite(found, vocabulary)};
    const size_t expected_top = likeliest(expected, vocabulary), found_top = likeliest(found, vocabulary);
    const double expected_norm = log_sum_exp(expected, vocabulary, expected[expected_top]);
    const double found_norm = log_sum_exp(found, vocabulary, found[found_top]);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < vocabulary; i++) {
        const double e = expected[i], f = found[i], error = fabs(f - e);
        const double log_p = e - expected_norm;
        row.kl += (double)expf((float)log_p) * (log_p - (f - found_norm));
        row.max_error = error > row.max_error ? error : row.max_error;
        row.error_sum += error;
        sum += e;
        squares += e * e;
    }
    if (row.kl < 0) /* of equal distributions, rounding may leave less */
        row.kl = 0;
    const double mean = sum / (double)vocabulary;
    row.deviation = sqrt(fmax(0, squares / (double)vocabulary - mean * mean));
    row.same_top = expected_top == found_top;
    if (next >= 0 && (size_t)next < vocabulary) {
        row.expected_log_probability = (double)expected[next] - expected_norm;
        row.found_log_probability = (double)found[next] - found_norm;
    }
    return row;
}

typedef struct comparing {
    gx_comparison_row *rows;
    const float *expected, *found;
    size_t vocabulary;
    const int64_t *next;
} comparing;

static gx_status compare_item(void *context, size_t item, unsigned worker, gx_error *error)
{
    const comparing *c = context;
    (void)worker;
    (void)error;
    c->rows[item] = gx_compare_row(c->expected + item * c->vocabulary, c->found + item * c->vocabulary, c->vocabulary,
                                   c->next ? c->next[item] : -1);
    return GX_OK;
}

gx_status gx_compare_rows(gx_comparison_row *rows, const float *expected, const float *found, size_t count, size_t vocabulary,
                          const int64_t *next, unsigned threads, gx_error *error)
{
    comparing c = {rows, expected, found, vocabulary, next};
    return gx_parallel_for(count, threads, compare_item, &c, error);
}

gx_comparison gx_comparison_summarise(const gx_comparison_row *rows, size_t count, size_t vocabulary, const int64_t *next)
{
    gx_comparison result = {.positions = count, .finite = true};
    double kl = 0, errors = 0, deviations = 0, expected_log = 0, found_log = 0;
    size_t same = 0;
    for (size_t i = 0; i < count; i++) {
        kl += rows[i].kl;
        result.max_kl = fmax(result.max_kl, rows[i].kl);
        result.max_error = fmax(result.max_error, rows[i].max_error);
        errors += rows[i].error_sum;
        deviations += rows[i].deviation;
        same += rows[i].same_top;
        result.finite = result.finite && rows[i].finite;
        if (next && next[i] >= 0) {
            expected_log += rows[i].expected_log_probability;
            found_log += rows[i].found_log_probability;
            result.predicted++;
        }
    }
    if (count == 0)
        return result;
    result.mean_kl = kl / (double)count;
    result.mean_error = errors / ((double)count * (double)vocabulary);
    result.standard_deviation = deviations / (double)count;
    result.same_top = (double)same / (double)count;
    if (result.predicted) {
        result.expected_perplexity = exp(-expected_log / (double)result.predicted);
        result.found_perplexity = exp(-found_log / (double)result.predicted);
    }
    return result;
}
