/* RMSNorm: x / sqrt(mean(x²) + eps) · factor. The mean is summed in double. Whether the factor is the stored weight or
 * 1 + weight is the model's business: it comes ready. */
#include <math.h>

#include "reference/parts.h"

static void norm_row(const float *x, size_t columns, const float *factor, double eps, float *out)
{
    double squares = 0;
    for (size_t i = 0; i < columns; i++)
        squares += (double)x[i] * (double)x[i];
    const float inverse = (float)(1.0 / sqrt(squares / (double)columns + eps));
    for (size_t i = 0; i < columns; i++)
        out[i] = factor ? x[i] * inverse * factor[i] : x[i] * inverse;
}

void gx_norm_rows(const float *x, size_t rows, size_t columns, const float *factor, double eps, float *out)
{
    for (size_t row = 0; row < rows; row++)
        norm_row(x + row * columns, columns, factor, eps, out + row * columns);
}
