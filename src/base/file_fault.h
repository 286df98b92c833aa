/* The seam between file.c and output.c by which tests make calls to the operating system fail. */
#ifndef GX_BASE_FILE_FAULT_H
#define GX_BASE_FILE_FAULT_H

#include "base/countdown.h"

/* True when this call has to fail; errno is EIO then. */
bool gx_file_fault(void);

#endif
