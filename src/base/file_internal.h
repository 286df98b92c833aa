/* What file.c shares with output.c and mapping.c: the descriptor, and the seam by which tests make calls fail. */
#ifndef GX_BASE_FILE_INTERNAL_H
#define GX_BASE_FILE_INTERNAL_H

#include "base/countdown.h"
#include "base/file.h"

/* True when this call to the operating system has to fail; errno is EIO then. */
bool gx_file_fault(void);

/* A path in the folder that no other process or thread takes; on the heap, NULL when memory is out. */
char *gx_own_name(const char *folder);

int gx_file_descriptor(const gx_file *file); /* the file's, until it is closed */

#endif
