/*
 * Errors: a function that can fail returns a gx_status and takes a `gx_error *` last (NULL allowed). The first failure
 * fills it; callers only add where they were. Outputs are written on success only.
 */
#ifndef GX_BASE_ERROR_H
#define GX_BASE_ERROR_H

#include "gemma_onnx.h"

#define GX_MUST_USE __attribute__((warn_unused_result))
#define GX_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Returns `status`. Fills `error` unless it already holds a failure. */
gx_status gx_fail(gx_error *error, gx_status status, const char *format, ...) GX_PRINTF(3, 4);

/* As gx_fail with GX_ERROR_IO, and ": " strerror(saved_errno) at the end. */
gx_status gx_fail_errno(gx_error *error, int saved_errno, const char *format, ...) GX_PRINTF(3, 4);

/* Puts "context: " in front of the message of a failure. */
void gx_error_note(gx_error *error, const char *format, ...) GX_PRINTF(2, 3);

void gx_error_clear(gx_error *error);

/* Leaves the function with a failure's status. */
#define GX_TRY(call)                          \
    do {                                      \
        gx_status try_status_ = (call);       \
        if (try_status_ != GX_OK)             \
            return try_status_;               \
    } while (0)

/* The same for functions that clean up at `label`; needs a local `gx_status status`. */
#define GX_TRY_GOTO(call, label)              \
    do {                                      \
        status = (call);                      \
        if (status != GX_OK)                  \
            goto label;                       \
    } while (0)

/* Our own bug, never input: prints file and line to stderr and aborts. */
#define GX_BUG(message) gx_bug(__FILE__, __LINE__, (message))
_Noreturn void gx_bug(const char *file, int line, const char *message);

#endif
