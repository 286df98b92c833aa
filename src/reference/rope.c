/*
 * Rotary position embedding. Channel i turns together with channel i + head_dim / 2 by position · theta^(-2i / head_dim)
 * / factor, or, beyond the pairs that turn at all, not. In double the angles are exact to fp32's last bit at any position. In fp32 the product of frequency and
 * position loses about a thousandth of a turn every 10,000 positions; Transformers computes it so, hence the choice.
 */
#include <math.h>

#include "base/checked.h"
#include "reference/parts.h"

static void angles_double(const gx_rope_table *table, size_t position, float *cosines, float *sines)
{
    const gx_rope *rope = &table->rope;
    for (uint32_t i = 0; i < rope->head_dim / 2; i++) {
        const double frequency = i < gx_rope_pairs(rope) ? pow(rope->theta, -2.0 * i / rope->head_dim) / rope->factor : 0;
        const double angle = (double)position * frequency;
        cosines[i] = (float)cos(angle);
        sines[i] = (float)sin(angle);
    }
}

static void angles_float(const gx_rope_table *table, size_t position, float *cosines, float *sines)
{
    const gx_rope *rope = &table->rope;
    for (uint32_t i = 0; i < rope->head_dim / 2; i++) {
        const float exponent = (float)(2 * i) / (float)rope->head_dim;
        const float frequency = i < gx_rope_pairs(rope) ? 1.0f / powf((float)rope->theta, exponent) / (float)rope->factor : 0;
        const float angle = (float)position * frequency;
        cosines[i] = cosf(angle);
        sines[i] = sinf(angle);
    }
}

static gx_status resize(float **values, uint64_t elements, gx_error *error)
{
    float *larger = elements > SIZE_MAX ? NULL : gx_realloc(*values, (size_t)elements, sizeof *larger);
    if (!larger)
        return gx_fail_memory(error);
    *values = larger;
    return GX_OK;
}

gx_status gx_rope_table_extend(gx_rope_table *table, size_t positions, gx_rope_precision precision, gx_error *error)
{
    const size_t half = table->rope.head_dim / 2;
    uint64_t elements;
    if (positions <= table->positions)
        return GX_OK;
    if (positions < 2 * table->positions) /* decoding asks for one more each time */
        positions = 2 * table->positions;
    if (!gx_mul_u64(positions, half, &elements))
        return gx_fail_memory(error);
    GX_TRY(resize(&table->cosines, elements, error));
    GX_TRY(resize(&table->sines, elements, error));
    for (size_t p = table->positions; p < positions; p++)
        (precision == GX_ROPE_FLOAT ? angles_float : angles_double)(table, p, table->cosines + p * half, table->sines + p * half);
    table->positions = positions;
    return GX_OK;
}

void gx_rope_table_deinit(gx_rope_table *table)
{
    gx_free(table->cosines);
    gx_free(table->sines);
    *table = (gx_rope_table){0};
}

void gx_rope_rotate(const gx_rope_table *table, float *row, size_t heads, size_t position)
{
    const size_t half = table->rope.head_dim / 2;
    const float *cosines = table->cosines + position * half;
    const float *sines = table->sines + position * half;
    for (size_t head = 0; head < heads; head++, row += table->rope.head_dim) {
        for (size_t i = 0; i < half; i++) {
            const float first = row[i];
            const float second = row[i + half];
            row[i] = first * cosines[i] - second * sines[i];
            row[i + half] = second * cosines[i] + first * sines[i];
        }
    }
}
