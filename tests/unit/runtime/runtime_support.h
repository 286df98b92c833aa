/* What the tests of the runtime share: the library, sessions on the tiny models, how a failure is checked. */
#ifndef GX_TESTS_RUNTIME_SUPPORT_H
#define GX_TESTS_RUNTIME_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "runtime/runtime.h"

#define MODELS "tests/golden/runtime/"

static gx_runtime *runtime; /* NULL: no ONNX Runtime on this machine, and a word about it on stderr */

/* Where scripts/deps puts it. There, or where the environment says, it must work: only a machine without one skips. */
#define INSTALLED ".deps/prefix/lib/libonnxruntime.so"

static inline int open_runtime(void **state)
{
    (void)state;
    gx_error error = {0};
    const bool named = getenv("GEMMA_ONNX_ORT_LIBRARY") != NULL, installed = gx_path_exists(INSTALLED);
    if (gx_runtime_open(&runtime, !named && installed ? INSTALLED : NULL, &error) == GX_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", named || installed ? "FAILED" : "SKIPPED", error.message);
    return named || installed ? -1 : 0;
}

static inline int close_runtime(void **state)
{
    (void)state;
    gx_runtime_close(runtime);
    return 0;
}

#define NEEDS_RUNTIME() \
    do {                \
        if (!runtime)   \
            skip();     \
    } while (0)

#define assert_ok(call)                                                       \
    do {                                                                      \
        gx_error call_error = {0};                                            \
        gx_error *error = &call_error;                                        \
        if ((call) != GX_OK)                                                  \
            fail_msg("%s", call_error.message[0] ? call_error.message : #call); \
    } while (0)

/* The status, and a word that the message must have. `call` uses `error`. */
#define assert_fails(call, expected, word)                                              \
    do {                                                                                \
        gx_error call_error = {0};                                                      \
        gx_error *error = &call_error;                                                  \
        assert_int_equal((call), (expected));                                           \
        assert_int_equal(call_error.status, (expected));                                \
        if (!strstr(call_error.message, (word)))                                        \
            fail_msg("no \"%s\" in \"%s\"", (word), call_error.message);                \
    } while (0)

static inline gx_session_options one_thread(void)
{
    gx_session_options options;
    gx_session_options_default(&options);
    options.threads = 1;
    return options;
}

static inline gx_session *open_session(const char *path)
{
    gx_session *session = NULL;
    const gx_session_options options = one_thread();
    assert_ok(gx_session_open(&session, runtime, path, &options, error));
    return session;
}

#endif
