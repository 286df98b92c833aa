/* Picks the kernels for this processor. */
#include <string.h>

#include "kernels/kernels.h"

extern const gx_kernels gx_kernels_c;
#if defined(__x86_64__)
extern const gx_kernels gx_kernels_avx2;
#endif

static bool has_avx2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
#else
    return false;
#endif
}

static const gx_kernels *selected;

void gx_kernels_select(const gx_kernels *kernels)
{
    selected = kernels;
}

const gx_kernels *gx_kernels_get(void)
{
    if (selected)
        return selected;
#if defined(__x86_64__)
    if (has_avx2())
        return &gx_kernels_avx2;
#endif
    return &gx_kernels_c;
}

const gx_kernels *gx_kernels_find(const char *name)
{
    if (strcmp(name, gx_kernels_c.name) == 0)
        return &gx_kernels_c;
#if defined(__x86_64__)
    if (has_avx2() && strcmp(name, gx_kernels_avx2.name) == 0)
        return &gx_kernels_avx2;
#endif
    return NULL;
}
