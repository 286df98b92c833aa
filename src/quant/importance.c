/* Plain sums in double, in order: the same on every machine. */
#include <math.h>

#include "quant/importance.h"

/* The estimate errs; a channel that it thinks dead is still not free, and none is everything. */
#define LEAST 0x1p-10
#define MOST 0x1p20

void gx_importance_start(double *stream, size_t channels)
{
    for (size_t k = 0; k < channels; k++)
        stream[k] = 1;
}

void gx_importance_add(double *stream, const float *norm, size_t channels)
{
    for (size_t k = 0; k < channels; k++)
        stream[k] += (double)norm[k] * (double)norm[k];
}

void gx_importance_read(float *out, const double *stream, const float *norm, size_t channels)
{
    double total = 0;
    for (size_t k = 0; k < channels; k++)
        total += (double)norm[k] * (double)norm[k] * stream[k];
    const double mean = total / (double)channels;
    for (size_t k = 0; k < channels; k++) {
        double share = (double)norm[k] * (double)norm[k] * stream[k] / mean;
        share = share > LEAST ? share : LEAST; /* and for NaN */
        out[k] = (float)(share < MOST ? share : MOST);
    }
}

/* sqrt is correctly rounded everywhere; pow is not. */
void gx_importance_balance(float *importance, float *balance, float *inverse, size_t channels)
{
    for (size_t k = 0; k < channels; k++) {
        const double rest = sqrt((double)importance[k]), factor = sqrt(rest);
        balance[k] = (float)factor;
        inverse[k] = (float)(1 / factor);
        importance[k] = (float)rest;
    }
}
