/*
 * gemma-onnx: Google's Gemma checkpoints to ONNX files that run, and the proof that they are right.
 *
 * Every function is safe to call from several threads at once, on different outputs. Nothing here prints, exits or
 * installs signal handlers. Strings are UTF-8, paths are the platform's. Options structs are filled by their
 * `_default()` function first; a field left at its default keeps the meaning written beside it.
 */
#ifndef GEMMA_ONNX_H
#define GEMMA_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GX_VERSION_MAJOR 0
#define GX_VERSION_MINOR 1
#define GX_VERSION_PATCH 0

#if defined(_WIN32)
#define GX_API
#else
#define GX_API __attribute__((visibility("default")))
#endif

/* ---- Status ---------------------------------------------------------------------------------------------------- */

/* Numbered for good: each is the exit status of the program, too. A new one must change what a caller does. */
typedef enum gx_status {
    GX_OK = 0,
    GX_ERROR_ARGUMENT = 2,    /* the caller's options contradict themselves or each other */
    GX_ERROR_IO = 3,          /* the operating system refused: missing file, full disk, … */
    GX_ERROR_FORMAT = 4,      /* an input file is not what it claims to be */
    GX_ERROR_UNSUPPORTED = 5, /* a valid input that this version cannot convert, or a missing run-time library */
    GX_ERROR_MEMORY = 6,
    GX_ERROR_NETWORK = 7,
    GX_ERROR_MISMATCH = 8, /* a verification threshold was not met */
    GX_ERROR_CANCELLED = 9,
} gx_status;

/* Filled by the first failure; empty ("" and GX_OK) otherwise. Storage is the caller's. One line, no newline. */
typedef struct gx_error {
    gx_status status;
    char message[1024];
} gx_error;

/* "0.1.0". Static storage. */
GX_API const char *gx_version(void);

#ifdef __cplusplus
}
#endif
#endif
