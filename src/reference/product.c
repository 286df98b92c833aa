/* Matrix products: OpenBLAS where it is, plain loops otherwise. The loops carry eight sums at a time, which any compiler
 * turns into vector instructions without reordering a sum behind our back. */
#include "reference/parts.h"

#define LANES 8
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

static float sum_lanes(const lanes *sums)
{
    float total = 0;
    for (int i = 0; i < LANES; i++)
        total += (*sums)[i];
    return total;
}

static void dot_tail(const gx_product *p, const float *a, size_t column, float *c)
{
    for (size_t k = p->k - p->k % LANES; k < p->k; k++)
        *c += a[k] * p->b[column * p->b_stride + k];
}

#define COLUMNS 4 /* at once, so that a row of a is loaded once for all of them */

static void dot_columns(const gx_product *p, const float *a, size_t column, float *c)
{
    const float *b[COLUMNS];
    lanes sums[COLUMNS] = {{0}};
    for (int j = 0; j < COLUMNS; j++)
        b[j] = p->b + (column + (size_t)j) * p->b_stride;
    for (size_t k = 0; k + LANES <= p->k; k += LANES) {
        const lanes x = *(const lanes *)(a + k);
        for (int j = 0; j < COLUMNS; j++)
            sums[j] += x * *(const lanes *)(b[j] + k);
    }
    for (int j = 0; j < COLUMNS; j++) {
        c[column + (size_t)j] = sum_lanes(&sums[j]);
        dot_tail(p, a, column + (size_t)j, &c[column + (size_t)j]);
    }
}

static void dot_column(const gx_product *p, const float *a, size_t column, float *c)
{
    const float *b = p->b + column * p->b_stride;
    lanes sums = {0};
    for (size_t k = 0; k + LANES <= p->k; k += LANES)
        sums += *(const lanes *)(a + k) * *(const lanes *)(b + k);
    c[column] = sum_lanes(&sums);
    dot_tail(p, a, column, &c[column]);
}

static void plain_rows(const gx_product *p)
{
    size_t column = 0;
    for (; column + COLUMNS <= p->n; column += COLUMNS)
        for (size_t row = 0; row < p->m; row++)
            dot_columns(p, p->a + row * p->a_stride, column, p->c + row * p->c_stride);
    for (; column < p->n; column++)
        for (size_t row = 0; row < p->m; row++)
            dot_column(p, p->a + row * p->a_stride, column, p->c + row * p->c_stride);
}

static void add_scaled(float factor, const float *b, float *c, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        *(lanes *)(c + i) += factor * *(const lanes *)(b + i);
    for (; i < n; i++)
        c[i] += factor * b[i];
}

static void plain_columns(const gx_product *p)
{
    for (size_t row = 0; row < p->m; row++) {
        float *c = p->c + row * p->c_stride;
        for (size_t i = 0; i < p->n; i++)
            c[i] = 0;
        for (size_t k = 0; k < p->k; k++)
            add_scaled(p->a[row * p->a_stride + k], p->b + k * p->b_stride, c, p->n);
    }
}

void gx_product_rows(gx_blas_sgemm sgemm, const gx_product *product)
{
    if (!gx_blas_run(sgemm, product, true))
        plain_rows(product);
}

void gx_product_columns(gx_blas_sgemm sgemm, const gx_product *product)
{
    if (!gx_blas_run(sgemm, product, false))
        plain_columns(product);
}
