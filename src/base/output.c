/* Output files: written under another name, renamed when whole. */
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
    char *partial; /* of the unfinished one */
};

static void free_output(gx_output *output)
{
    gx_free(output->path);
    gx_free(output->partial);
    gx_free(output);
}

static char *copy_text(const char *text, const char *ending)
{
    const size_t length = strlen(text), more = strlen(ending);
    char *copy = gx_alloc(length + more + 1, 1);
    if (copy) {
        memcpy(copy, text, length);
        memcpy(copy + length, ending, more);
    }
    return copy;
}

/* Takes both strings over. */
static gx_status open_output(gx_output **out, char *partial, char *path, int flags, gx_error *error)
{
    gx_output *output = gx_alloc(1, sizeof *output);
    if (!output || !partial || !path) {
        gx_free(output);
        gx_free(partial);
        gx_free(path);
        return gx_fail_memory(error);
    }
    *output = (gx_output){.path = path, .partial = partial};
    output->descriptor = gx_file_fault() ? -1 : open(partial, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
    if (output->descriptor < 0) {
        const gx_status status = gx_fail_errno(error, errno, "%s", partial);
        free_output(output);
        return status;
    }
    *out = output;
    return GX_OK;
}

gx_status gx_output_create(gx_output **out, const char *path, gx_error *error)
{
    return open_output(out, copy_text(path, ".partial"), copy_text(path, ""), O_TRUNC, error);
}

gx_status gx_output_resume(gx_output **out, const char *partial, const char *path, gx_error *error)
{
    return open_output(out, copy_text(partial, ""), copy_text(path, ""), 0, error);
}

void gx_output_suspend(gx_output *output)
{
    if (!output)
        return;
    close(output->descriptor);
    free_output(output);
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

gx_status gx_output_extend(gx_output *output, uint64_t nbytes, gx_error *error)
{
    if (gx_file_fault() || ftruncate(output->descriptor, (off_t)nbytes) != 0)
        return gx_fail_errno(error, errno, "%s: setting its size", output->path);
    return GX_OK;
}

gx_status gx_output_resize(gx_output *output, uint64_t nbytes, gx_error *error)
{
    if (gx_file_fault() || ftruncate(output->descriptor, (off_t)nbytes) != 0 || !reserve_space(output->descriptor, nbytes))
        return gx_fail_errno(error, errno, "%s: reserving %llu bytes", output->path, (unsigned long long)nbytes);
    return GX_OK;
}

/* A failure leaves the unfinished file where it is. */
static gx_status finish(gx_output *output, gx_error *error)
{
    gx_status status = GX_OK;
    const int closed = close(output->descriptor); /* file systems may report a failed write here */
    if (closed != 0)
        status = gx_fail_errno(error, errno, "%s: writing", output->path);
    else if (gx_file_fault() || rename(output->partial, output->path) != 0)
        status = gx_fail_errno(error, errno, "%s: renaming", output->partial);
    return status;
}

gx_status gx_output_commit(gx_output *output, gx_error *error)
{
    const gx_status status = finish(output, error);
    if (status != GX_OK)
        unlink(output->partial);
    free_output(output);
    return status;
}

gx_status gx_output_commit_or_suspend(gx_output *output, gx_error *error)
{
    const gx_status status = finish(output, error);
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

static gx_status write_all(gx_output *output, const void *bytes, size_t nbytes, gx_error *error)
{
    const gx_status status = gx_output_write(output, 0, bytes, nbytes, error);
    if (status == GX_OK)
        return gx_output_commit(output, error);
    gx_output_discard(output);
    return status;
}

gx_status gx_file_write_all(const char *path, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_output *output = NULL;
    GX_TRY(gx_output_create(&output, path, error));
    return write_all(output, bytes, nbytes, error);
}

gx_status gx_file_write_shared(const char *path, const char *folder, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_output *output = NULL;
    GX_TRY(open_output(&output, gx_own_name(folder), copy_text(path, ""), O_TRUNC, error));
    return write_all(output, bytes, nbytes, error);
}
