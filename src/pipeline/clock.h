/* Time and memory of this process, for measurements. */
#ifndef GX_PIPELINE_CLOCK_H
#define GX_PIPELINE_CLOCK_H

#include <stdint.h>

double gx_clock_seconds(void); /* monotonic */

/* Sets the peak of resident memory back to what is resident now, where the system can (Linux); then reads it. 0: unknown. */
void gx_peak_memory_reset(void);
uint64_t gx_peak_memory_nbytes(void);

#endif
