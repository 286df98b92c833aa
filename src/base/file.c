/* Files for reading: positioned and counted. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/file_internal.h"

struct gx_file {
    int descriptor;
    uint64_t nbytes;
    char *path;
};

static _Atomic uint64_t nbytes_read_total;

static gx_countdown fail_countdown;

void gx_file_fail_after(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

bool gx_file_fault(void)
{
    if (!gx_countdown_step(&fail_countdown))
        return false;
    errno = EIO;
    return true;
}

uint64_t gx_file_nbytes_read_total(void)
{
    return atomic_load(&nbytes_read_total);
}

static char *copy_path(const char *path)
{
    const size_t length = strlen(path);
    char *copy = gx_alloc(length + 1, 1);
    if (copy)
        memcpy(copy, path, length);
    return copy;
}

gx_status gx_file_open(gx_file **out, const char *path, gx_error *error)
{
    struct stat info;
    /* O_NONBLOCK: a pipe under this name is refused below, not waited for. It means nothing to regular files. */
    const int descriptor = gx_file_fault() ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return gx_fail_errno(error, errno, "%s", path);
    gx_status status = GX_OK;
    if (fstat(descriptor, &info) != 0)
        status = gx_fail_errno(error, errno, "%s", path);
    else if (!S_ISREG(info.st_mode))
        status = gx_fail(error, GX_ERROR_IO, "%s: not a regular file", path);
    gx_file *file = status == GX_OK ? gx_alloc(1, sizeof *file) : NULL;
    char *copy = file ? copy_path(path) : NULL;
    if (!copy) {
        gx_free(file);
        close(descriptor);
        return status != GX_OK ? status : gx_fail_memory(error);
    }
    *file = (gx_file){.descriptor = descriptor, .nbytes = (uint64_t)info.st_size, .path = copy};
    *out = file;
    return GX_OK;
}

void gx_file_close(gx_file *file)
{
    if (!file)
        return;
    close(file->descriptor);
    gx_free(file->path);
    gx_free(file);
}

int gx_file_descriptor(const gx_file *file)
{
    return file->descriptor;
}

uint64_t gx_file_nbytes(const gx_file *file)
{
    return file->nbytes;
}

const char *gx_file_path(const gx_file *file)
{
    return file->path;
}

gx_status gx_file_read(gx_file *file, uint64_t offset, void *buffer, size_t nbytes, gx_error *error)
{
    uint64_t end;
    if (!gx_add_u64(offset, nbytes, &end) || end > file->nbytes)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %zu bytes at offset %llu are outside the file of %llu bytes", file->path, nbytes,
                       (unsigned long long)offset, (unsigned long long)file->nbytes);
    for (size_t done = 0; done < nbytes;) {
        const ssize_t n =
            gx_file_fault() ? -1 : pread(file->descriptor, (char *)buffer + done, nbytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gx_fail_errno(error, errno, "%s: reading", file->path);
        if (n == 0)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: the file ends at byte %llu; it was %llu bytes long when opened", file->path,
                           (unsigned long long)(offset + done), (unsigned long long)file->nbytes);
        done += (size_t)n;
    }
    atomic_fetch_add(&nbytes_read_total, nbytes);
    return GX_OK;
}

gx_status gx_file_read_all(gx_arena *arena, const char *path, uint64_t limit, char **out, size_t *nbytes, gx_error *error)
{
    gx_file *file = NULL;
    GX_TRY(gx_file_open(&file, path, error));
    gx_status status = GX_OK;
    char *text = NULL;
    if (file->nbytes > limit)
        status = gx_fail(error, GX_ERROR_FORMAT, "%s: %llu bytes, expected at most %llu", path, (unsigned long long)file->nbytes,
                         (unsigned long long)limit);
    else if (!(text = gx_arena_alloc(arena, file->nbytes + 1, 1)))
        status = gx_fail_memory(error);
    else
        status = gx_file_read(file, 0, text, file->nbytes, error);
    if (status == GX_OK) {
        *out = text;
        *nbytes = file->nbytes;
    }
    gx_file_close(file);
    return status;
}
