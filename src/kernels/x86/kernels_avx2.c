/* Eight blocks at a time. No FMA: it would round once where the scalar truth rounds twice. */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 8
#define TARGET __attribute__((target("avx2,f16c")))
#define SUFFIX _avx2
#define NAME "avx2"
#define MAX(a, b) ((lanes)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define MIN(a, b) ((lanes)_mm256_min_ps((__m256)(a), (__m256)(b)))
/* The processor's own conversion: to nearest, ties to even, subnormal halves included. */
#define NARROW_EIGHT(in, out) _mm_storeu_si128((__m128i *)(out), _mm256_cvtps_ph(_mm256_loadu_ps(in), _MM_FROUND_TO_NEAREST_INT))
#include "kernels/kernels_template.h"
#else
typedef int gx_no_avx2; /* an empty file is no C */
#endif
