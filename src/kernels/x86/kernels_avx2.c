/* Eight blocks at a time. No FMA: it would round once where the scalar truth rounds twice. */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define SUFFIX _avx2
#define NAME "avx2"
#define MAX(a, b) ((lanes)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define MIN(a, b) ((lanes)_mm256_min_ps((__m256)(a), (__m256)(b)))
#include "kernels/kernels_template.h"
#else
typedef int gx_no_avx2; /* an empty file is no C */
#endif
