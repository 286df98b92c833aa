/* Output files: written as "<path>.partial", renamed when whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_internal.h"

struct gx_output {
    int descriptor;
    char *path;    /* of the finished file */
    char *partial; /* "<path>.partial" */
};

static const char partial_suffix[] = ".partial";

static void free_output(gx_output *output)
{
    gx_free(output->path);
    gx_free(output->partial);
    gx_free(output);
}

gx_status gx_output_create(gx_output **out, const char *path, gx_error *error)
{
    const size_t length = strlen(path);
    gx_output *output = gx_alloc(1, sizeof *output);
    if (!output)
        return gx_fail_memory(error);
    output->path = gx_alloc(length + 1, 1);
    output->partial = gx_alloc(length + sizeof partial_suffix, 1);
    if (!output->path || !output->partial) {
        free_output(output);
        return gx_fail_memory(error);
    }
    memcpy(output->path, path, length);
    memcpy(output->partial, path, length);
    memcpy(output->partial + length, partial_suffix, sizeof partial_suffix);
    output->descriptor = gx_file_fault() ? -1 : open(output->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (output->descriptor < 0) {
        const gx_status status = gx_fail_errno(error, errno, "%s", output->partial);
        free_output(output);
        return status;
    }
    *out = output;
    return GX_OK;
}

gx_status gx_output_write(gx_output *output, uint64_t offset, const void *bytes, size_t nbytes, gx_error *error)
{
    for (size_t done = 0; done < nbytes;) {
        const ssize_t n =
            gx_file_fault() ? -1 : pwrite(output->descriptor, (const char *)bytes + done, nbytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0) /* no progress and no reason: never wait for it */
            errno = EIO;
        if (n <= 0)
            return gx_fail_errno(error, errno, "%s: writing", output->path);
        done += (size_t)n;
    }
    return GX_OK;
}

/* Not posix_fallocate: where the file system has no such call, that one writes into every block. */
static bool reserve_space(int descriptor, uint64_t nbytes)
{
    int failed = 0;
    do
        failed = nbytes == 0 ? 0 : fallocate(descriptor, 0, 0, (off_t)nbytes);
    while (failed && errno == EINTR);
    return !failed || errno == EOPNOTSUPP || errno == ENOSYS;
}

gx_status gx_output_resize(gx_output *output, uint64_t nbytes, gx_error *error)
{
    if (gx_file_fault() || ftruncate(output->descriptor, (off_t)nbytes) != 0 || !reserve_space(output->descriptor, nbytes))
        return gx_fail_errno(error, errno, "%s: reserving %llu bytes", output->path, (unsigned long long)nbytes);
    return GX_OK;
}

gx_status gx_output_commit(gx_output *output, gx_error *error)
{
    gx_status status = GX_OK;
    const int closed = close(output->descriptor); /* file systems may report a failed write here */
    if (closed != 0)
        status = gx_fail_errno(error, errno, "%s: writing", output->path);
    else if (gx_file_fault() || rename(output->partial, output->path) != 0)
        status = gx_fail_errno(error, errno, "%s: renaming", output->partial);
    if (status != GX_OK)
        unlink(output->partial);
    free_output(output);
    return status;
}

void gx_output_discard(gx_output *output)
{
    if (!output)
        return;
    close(output->descriptor);
    unlink(output->partial);
    free_output(output);
}

gx_status gx_file_write_all(const char *path, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_output *output = NULL;
    GX_TRY(gx_output_create(&output, path, error));
    const gx_status status = gx_output_write(output, 0, bytes, nbytes, error);
    if (status == GX_OK)
        return gx_output_commit(output, error);
    gx_output_discard(output);
    return status;
}
