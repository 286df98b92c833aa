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

void gx_softcap(float *values, size_t elements, double cap)
{
    const float limit = (float)cap;
    for (size_t i = 0; i < elements; i++)
        values[i] = tanhf(values[i] / limit) * limit;
}
