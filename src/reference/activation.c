/* The gate of the MLP, gelu(gate) · up, and soft capping. */
#include <math.h>

#include "reference/parts.h"

static float gelu_tanh(float z)
{
    const float inner = (float)(M_2_SQRTPI * M_SQRT1_2) * (z + 0.044715f * (z * z * z)); /* sqrt(2 / pi) */
    return 0.5f * z * (1.0f + tanhf(inner));
}

static float gelu_erf(float z)
{
    return 0.5f * z * (1.0f + erff(z * (float)M_SQRT1_2));
}

static float (*const activations[])(float) = {
    [GX_ACTIVATION_GELU_TANH] = gelu_tanh,
    [GX_ACTIVATION_GELU_ERF] = gelu_erf,
};

void gx_activation_gate(gx_activation activation, float *gate, const float *up, size_t elements)
{
    float (*const function)(float) = activations[activation];
    for (size_t i = 0; i < elements; i++)
        gate[i] = function(gate[i]) * up[i];
}

void gx_activation_cut(float *rows, size_t row_count, size_t columns, double cutoff)
{
    for (float *row = rows; row < rows + row_count * columns; row += columns) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < columns; i++)
            sum += (double)row[i];
        const double mean = sum / (double)columns;
        for (size_t i = 0; i < columns; i++)
            squares += ((double)row[i] - mean) * ((double)row[i] - mean);
        const float limit = (float)(mean + cutoff * sqrt(squares / (double)columns));
        for (size_t i = 0; i < columns; i++)
            row[i] = row[i] > limit ? row[i] - limit : 0;
    }
}

void gx_softcap(float *values, size_t elements, double cap)
{
    const float limit = (float)cap;
    for (size_t i = 0; i < elements; i++)
        values[i] = tanhf(values[i] / limit) * limit;
}
