/* Locks between processes. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_internal.h"

struct gx_lock {
    int descriptor;
};

/* Who holds a lock may remove its file when done; then the next one locks a file that nobody finds any more. */
static bool is_still_there(int descriptor, const char *path)
{
    struct stat held, found;
    return fstat(descriptor, &held) == 0 && stat(path, &found) == 0 && held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

/* *out is NULL when it was not had: another one holds it, or its file is not the one at the path any more. */
static gx_status take(gx_lock **out, const char *path, int operation, gx_error *error)
{
    *out = NULL;
    const int descriptor = gx_file_fault() ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
    if (descriptor < 0)
        return gx_fail_errno(error, errno, "%s", path);
    const bool refused = flock(descriptor, operation) != 0;
    const int reason = errno;
    gx_status status = GX_OK;
    if (refused && reason != EWOULDBLOCK && reason != EINTR)
        status = gx_fail_errno(error, reason, "%s: locking", path);
    const bool had = !refused && is_still_there(descriptor, path);
    gx_lock *lock = had ? gx_alloc(1, sizeof *lock) : NULL;
    if (!lock) {
        close(descriptor);
        return had ? gx_fail_memory(error) : status;
    }
    (void)fchmod(descriptor, 0664); /* the group may lock it, too, whatever the umask; of another one's file it is not for us to say */
    lock->descriptor = descriptor;
    *out = lock;
    return GX_OK;
}

gx_status gx_lock_try(gx_lock **out, const char *path, gx_error *error)
{
    return take(out, path, LOCK_EX | LOCK_NB, error);
}

gx_status gx_lock_wait(gx_lock **out, const char *path, gx_error *error)
{
    do
        GX_TRY(take(out, path, LOCK_EX, error));
    while (!*out);
    return GX_OK;
}

void gx_lock_release(gx_lock *lock)
{
    if (!lock)
        return;
    close(lock->descriptor);
    gx_free(lock);
}
