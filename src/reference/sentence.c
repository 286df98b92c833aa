/* From the states of a text to its embedding: mean, matrices, length 1. */
#include <math.h>
#include <string.h>

#include "reference/state.h"

static void mean_rows(const float *rows, size_t count, size_t columns, float *out)
{
    for (size_t k = 0; k < columns; k++) {
        double sum = 0;
        for (size_t r = 0; r < count; r++)
            sum += (double)rows[r * columns + k];
        out[k] = (float)(sum / (double)count);
    }
}

static void normalize(float *values, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (double)values[i] * (double)values[i];
    const double length = fmax(sqrt(squares), 1e-12);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)values[i] / length);
}

/* *values [count, columns] becomes [count, rows of the weight]. */
static gx_status multiply(const gx_reference *reference, const gx_weight *weight, size_t count, float **values, gx_error *error)
{
    float *matrix = NULL, *product = NULL;
    gx_status status = gx_floats_alloc(&matrix, weight->rows, weight->columns, error);
    if (status == GX_OK)
        status = gx_floats_alloc(&product, count, weight->rows, error);
    if (status == GX_OK)
        status = gx_weight_load(reference->model, weight, reference->options.threads, matrix, error);
    if (status == GX_OK) {
        gx_product_rows(reference->sgemm, &(gx_product){.m = count, .n = (size_t)weight->rows, .k = (size_t)weight->columns, .a = *values,
                                                        .a_stride = (size_t)weight->columns, .b = matrix, .b_stride = (size_t)weight->columns,
                                                        .c = product, .c_stride = (size_t)weight->rows});
        gx_free(*values);
        *values = product;
        product = NULL;
    }
    gx_free(matrix);
    gx_free(product);
    return status;
}

gx_status gx_reference_embed(gx_reference *reference, const float *hidden, const size_t *counts, size_t count, size_t dimension, float *embeddings,
                             gx_error *error)
{
    const gx_model *model = reference->model;
    const gx_sentence *sentence = &model->sentence;
    const size_t all = (size_t)sentence->dimension, wanted = dimension ? dimension : all;
    float *values = NULL;
    gx_status status = gx_floats_alloc(&values, count, model->hidden_size, error);
    for (size_t i = 0; status == GX_OK && i < count; i++) {
        mean_rows(hidden, counts[i], model->hidden_size, values + i * model->hidden_size);
        hidden += counts[i] * model->hidden_size;
    }
    for (unsigned i = 0; status == GX_OK && i < sentence->dense_count; i++)
        status = multiply(reference, &sentence->dense[i], count, &values, error);
    for (size_t i = 0; status == GX_OK && i < count; i++) {
        memcpy(embeddings + i * wanted, values + i * all, wanted * sizeof *values);
        if (sentence->normalize)
            normalize(embeddings + i * wanted, wanted);
    }
    gx_free(values);
    return status;
}
