/* What the Hub's tests share: an environment without settings of its own, and what a hash is. */
#ifndef TESTS_UNIT_HUB_SUPPORT_H
#define TESTS_UNIT_HUB_SUPPORT_H

#include "hub/settings.h"
#include "hub/storage.h"
#include "support/scratch.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OTHER_COMMIT "fedcba9876543210fedcba9876543210fedcba98"

static inline void clear_environment(void)
{
    static const char *const names[] = {"HF_HOME", "XDG_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
                                        "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_ENDPOINT",
                                        "HF_HUB_DOWNLOAD_TIMEOUT", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("HOME", scratch_path("home"), 1);
}

/* The listing's entry of a file with these bytes. */
static inline gx_hub_file file_of(const char *name, const void *bytes, size_t nbytes, gx_hash_kind kind)
{
    gx_hub_file file = {.name = name, .nbytes = nbytes, .hash = kind};
    gx_hash *hash = gx_file_hash_new(&file);
    assert_non_null(hash);
    gx_hash_update(hash, bytes, nbytes);
    gx_hash_finish(hash, file.etag);
    gx_hash_free(hash);
    return file;
}

/* Whatever the call needs, it may be out; it may fail for that alone. Runs until it succeeds. */
static inline void sweep_memory(const char *what, gx_status (*call)(void *context, gx_error *error), void *context, uint64_t at_least)
{
    uint64_t n = 1;
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_error error = {0};
        gx_alloc_fail_after(n);
        status = call(context, &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure(what, status, &error, GX_ERROR_MEMORY, "out of memory");
        assert_true(n < 10000);
    }
    if (n - 1 <= at_least) /* n - 2 calls have failed */
        fail_msg("%s: only %u allocations went through the seam", what, (unsigned)(n - 2));
}

#endif
