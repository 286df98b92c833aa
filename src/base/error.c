/* The error pattern: the first failure is kept, context is put in front of it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

const char *gx_version(void)
{
    return STRINGIFY(GX_VERSION_MAJOR) "." STRINGIFY(GX_VERSION_MINOR) "." STRINGIFY(GX_VERSION_PATCH);
}

/* One line: a name from a file may hold anything. */
static void make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

gx_status gx_fail(gx_error *error, gx_status status, const char *format, ...)
{
    if (!error || error->status != GX_OK)
        return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    make_one_line(error->message);
    error->status = status;
    return status;
}

gx_status gx_fail_errno(gx_error *error, int saved_errno, const char *format, ...)
{
    char context[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    return gx_fail(error, GX_ERROR_IO, "%s: %s", context, strerror(saved_errno));
}

void gx_error_note(gx_error *error, const char *format, ...)
{
    if (!error || error->status == GX_OK)
        return;
    char context[512], old[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
    make_one_line(context);
    memcpy(old, error->message, sizeof old);
    const size_t used = (size_t)snprintf(error->message, sizeof error->message, "%s: ", context);
    const size_t kept = strnlen(old, sizeof error->message - 1 - used);
    memcpy(error->message + used, old, kept);
    error->message[used + kept] = 0;
}

void gx_error_clear(gx_error *error)
{
    if (error)
        *error = (gx_error){.status = GX_OK};
}

void gx_bug(const char *file, int line, const char *message)
{
    fprintf(stderr, "gemma-onnx: bug at %s:%d: %s\n", file, line, message);
    abort();
}
