/* How many weights a second one thread encodes, per scheme and instruction set: quantise [COLUMNS]. Processor time, best of
 * several, so that a busy machine shows less. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/kernels.h"
#include "quant/scheme.h"

#define ELEMENTS 1310720u
#define REPEATS 9

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Sums of uniform numbers, near enough to weights. */
static void fill(float *out, size_t elements)
{
    uint32_t state = 1;
    for (size_t i = 0; i < elements; i++) {
        float sum = 0;
        for (int k = 0; k < 6; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (float)(state >> 8) * 0x1p-24f - 0.5f;
        }
        out[i] = sum * 0.03f;
    }
}

static double rate(const gx_scheme *scheme, const float *in, const float *importance, uint64_t columns, int repeats)
{
    const uint64_t rows = ELEMENTS / columns;
    void *parts[GX_PART_COUNT];
    for (int part = 0; part < GX_PART_COUNT; part++)
        parts[part] = malloc(rows * gx_scheme_part_row_nbytes(scheme, (gx_part)part, columns) + 1);
    void *scratch = malloc(gx_scheme_scratch_nbytes(scheme, columns) + 1);
    double best = 1e9;
    for (int n = 0; n < repeats; n++) {
        const double start = seconds();
        if (gx_scheme_encode_weighted(scheme, in, rows, columns, importance, parts, scratch, NULL) != GX_OK)
            abort();
        const double took = seconds() - start;
        best = took < best ? took : best;
    }
    for (int part = 0; part < GX_PART_COUNT; part++)
        free(parts[part]);
    free(scratch);
    return (double)(rows * columns) / best;
}

int main(int argc, char **argv)
{
    static const gx_scheme schemes[] = {
        {.kind = GX_SCHEME_FLOAT, .dtype = GX_DTYPE_F16},
        {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32},
        {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 8, .block_size = 128},
        {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 32},
        {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 32, .zero_points = true},
        {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 128, .zero_points = true},
    };
    static const char *const sets[] = {"c", "avx2"};
    const uint64_t columns = argc > 1 ? strtoull(argv[1], NULL, 10) : 640;
    if (columns < 16 || columns > ELEMENTS)
        return 2;
    float *in = malloc(ELEMENTS * sizeof *in), *importance = malloc(columns * sizeof *importance);
    if (!in || !importance)
        return 1;
    fill(in, ELEMENTS);
    for (uint64_t i = 0; i < columns; i++)
        importance[i] = 0.5f + (float)(i % 7) * 0.25f;
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
        const gx_kernels *kernels = gx_kernels_find(sets[k]);
        if (!kernels)
            continue;
        gx_kernels_select(kernels);
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
            char name[64];
            gx_scheme_name(&schemes[i], name, sizeof name);
            const double weights = rate(&schemes[i], in, importance, columns, k ? REPEATS : 1);
            printf("%-5s %-32s %8.1f million weights/s\n", kernels->name, name, weights * 1e-6);
        }
    }
    free(in);
    free(importance);
    return 0;
}
