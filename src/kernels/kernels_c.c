/* The scalar truth. */
#define LANES 1
#define TARGET
#define SUFFIX _c
#define NAME "c"
#define MAX(a, b) SELECT((a) > (b), a, b)
#define MIN(a, b) SELECT((a) < (b), a, b)
#include "kernels/kernels_template.h"
