/* A folder of a test program's own, and what a failure must look like. */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char scratch_folder[256];

/* cmocka group set-up. */
static inline int scratch_open(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(scratch_folder, sizeof scratch_folder, "%.200s/gemma-onnx-test-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(scratch_folder) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

/* cmocka group tear-down. */
static inline int scratch_close(void **state)
{
    (void)state;
    return nftw(scratch_folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name inside the folder. Four results live at once. */
static inline const char *scratch_path(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

/* Writes a file, parent folders included, and returns its path. Plain stdio: independent of what is tested. */
static inline const char *scratch_write(const char *name, const void *bytes, size_t nbytes)
{
    const char *path = scratch_path(name);
    char parent[512];
    snprintf(parent, sizeof parent, "%s", path);
    for (char *slash = parent + strlen(scratch_folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(parent, 0777);
        *slash = '/';
    }
    unlink(path); /* truncating a file makes some file systems wait for the disk */
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, nbytes, file) != nbytes || fclose(file) != 0)
        fail_msg("cannot write %s", path);
    return path;
}

static inline const char *scratch_write_text(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

/* A failure has the expected status, in the error, too, and one line that says why. `what` names the case. */
static inline void check_failure(const char *what, gx_status found, const gx_error *error, gx_status expected, const char *words)
{
    if (found != expected || error->status != expected)
        fail_msg("%s: status %d, expected %d: %s", what, (int)found, (int)expected, error->message);
    if (!strstr(error->message, words))
        fail_msg("%s: '%s' is not in the message: %s", what, words, error->message);
    for (const char *c = error->message; *c; c++)
        if ((unsigned char)*c < 0x20)
            fail_msg("%s: a control character in the message: %s", what, error->message);
}

static inline void check_ok(const char *what, gx_status found, const gx_error *error)
{
    if (found != GX_OK)
        fail_msg("%s: %s", what, error->message);
    assert_int_equal(error->status, GX_OK);
}

#endif
