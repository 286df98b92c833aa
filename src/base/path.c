/* Paths and folders. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_internal.h"

bool gx_path_stat(const char *path, gx_path_info *out)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    *out = (gx_path_info){.nbytes = (uint64_t)info.st_size,
                          .allocated_nbytes = (uint64_t)info.st_blocks * 512, /* of 512 bytes, whatever the file system's are */
                          .modified = (double)info.st_mtim.tv_sec + (double)info.st_mtim.tv_nsec * 1e-9};
    return true;
}

bool gx_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool gx_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *gx_path_join(gx_arena *arena, const char *folder, const char *name)
{
    const size_t length = strlen(folder);
    return gx_arena_printf(arena, length > 0 && folder[length - 1] == '/' ? "%s%s" : "%s/%s", folder, name);
}

const char *gx_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static gx_status create_one(const char *path, gx_error *error)
{
    if (mkdir(path, 0777) == 0)
        return GX_OK;
    const int reason = errno;
    if (gx_path_is_folder(path))
        return GX_OK;
    return gx_fail_errno(error, reason, "%s: creating the folder", path);
}

gx_status gx_folder_create(const char *path, gx_error *error)
{
    const size_t length = strlen(path);
    char *partial = gx_alloc(length + 1, 1);
    if (!partial)
        return gx_fail_memory(error);
    gx_status status = GX_OK;
    for (size_t i = 1; status == GX_OK && i <= length; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(partial, path, i);
        partial[i] = 0;
        status = create_one(partial, error);
    }
    gx_free(partial);
    return status;
}

gx_status gx_disk_free_nbytes(const char *path, uint64_t *out, gx_error *error)
{
    struct statvfs info;
    if (statvfs(path, &info) != 0)
        return gx_fail_errno(error, errno, "%s", path);
    *out = (uint64_t)info.f_bavail * info.f_frsize;
    return GX_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names on the heap while their number grows. */
typedef struct name_list {
    char **names;
    size_t count, capacity;
} name_list;

static gx_status add_name(name_list *list, gx_arena *arena, const char *name, gx_error *error)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 64;
        char **grown = gx_realloc(list->names, capacity, sizeof *grown);
        if (!grown)
            return gx_fail_memory(error);
        list->names = grown;
        list->capacity = capacity;
    }
    list->names[list->count] = gx_arena_copy_string(arena, name);
    return list->names[list->count++] ? GX_OK : gx_fail_memory(error);
}

static gx_status list_entries(DIR *folder, gx_arena *arena, const char *path, mode_t kind, name_list *list, gx_error *error)
{
    for (;;) {
        errno = 0; /* the end of the folder and a failure look alike else */
        const struct dirent *entry = readdir(folder);
        struct stat info;
        if (!entry)
            return errno == 0 ? GX_OK : gx_fail_errno(error, errno, "%s", path);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && (info.st_mode & S_IFMT) == kind)
            GX_TRY(add_name(list, arena, entry->d_name, error));
    }
}

static gx_status list_sorted(gx_arena *arena, const char *path, mode_t kind, char ***names, size_t *count, gx_error *error)
{
    name_list list = {0};
    DIR *folder = opendir(path);
    if (!folder)
        return gx_fail_errno(error, errno, "%s", path);
    gx_status status = list_entries(folder, arena, path, kind, &list, error);
    closedir(folder);
    char **sorted = status == GX_OK ? GX_NEW_ARRAY(arena, char *, list.count) : NULL;
    if (sorted) {
        if (list.count > 0) {
            memcpy(sorted, list.names, list.count * sizeof *sorted);
            qsort(sorted, list.count, sizeof *sorted, compare_names);
        }
        *names = sorted;
        *count = list.count;
    } else if (status == GX_OK)
        status = gx_fail_memory(error);
    gx_free(list.names);
    return status;
}

gx_status gx_folder_list(gx_arena *arena, const char *path, char ***names, size_t *count, gx_error *error)
{
    return list_sorted(arena, path, S_IFREG, names, count, error);
}

gx_status gx_folder_list_folders(gx_arena *arena, const char *path, char ***names, size_t *count, gx_error *error)
{
    return list_sorted(arena, path, S_IFDIR, names, count, error);
}

char *gx_own_name(const char *folder)
{
    static atomic_uint count;
    char name[64];
    const int length = snprintf(name, sizeof name, "/.gemma-onnx.%ld.%u", (long)getpid(), atomic_fetch_add(&count, 1));
    char *path = gx_alloc(strlen(folder) + (size_t)length + 1, 1);
    if (path)
        strcat(strcpy(path, folder), name);
    return path;
}

gx_status gx_link_create(const char *target, const char *path, const char *folder, gx_error *error)
{
    char *unfinished = gx_own_name(folder);
    gx_status status = unfinished ? GX_OK : gx_fail_memory(error);
    if (status == GX_OK && (symlink(target, unfinished) != 0 || rename(unfinished, path) != 0)) {
        status = gx_fail_errno(error, errno, "%s: linking", path);
        unlink(unfinished);
    }
    gx_free(unfinished);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

void gx_path_remove(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
