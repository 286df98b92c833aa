/* The one place that knows OpenBLAS. It is loaded when a reference is made, so that the program neither needs it to start
 * nor pays for it. It runs in the caller's thread: the cutting into threads is ours, hence the same for any number. */
#include <dlfcn.h>
#include <limits.h>

#include "reference/parts.h"

enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };

static const char *const library_names[] = {"libopenblas.so.0", "libopenblas.so", NULL};

gx_blas_sgemm gx_blas_find(void)
{
    for (const char *const *name = library_names; *name; name++) {
        void *library = dlopen(*name, RTLD_NOW | RTLD_LOCAL); /* never closed: its threads would outlive their code */
        if (!library)
            continue;
        const gx_blas_sgemm sgemm = (gx_blas_sgemm)dlsym(library, "cblas_sgemm");
        void (*const set_threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
        if (!sgemm)
            continue;
        if (set_threads)
            set_threads(1);
        return sgemm;
    }
    return NULL;
}

static bool fits(const gx_product *p)
{
    const size_t sizes[] = {p->m, p->n, p->k, p->a_stride, p->b_stride, p->c_stride};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] > INT_MAX)
            return false;
    return true;
}

bool gx_blas_run(gx_blas_sgemm sgemm, const gx_product *p, bool transpose_b)
{
    if (!sgemm || !fits(p))
        return false;
    sgemm(ROW_MAJOR, AS_IS, transpose_b ? TRANSPOSED : AS_IS, (int)p->m, (int)p->n, (int)p->k, 1.0f, p->a, (int)p->a_stride, p->b,
          (int)p->b_stride, 0.0f, p->c, (int)p->c_stride);
    return true;
}
