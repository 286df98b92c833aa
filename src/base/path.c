/* Paths and folders. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"

#define MAX_FOLDER_ENTRIES 65536u

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
    if (mkdir(path, 0777) == 0 || gx_path_is_folder(path))
        return GX_OK;
    return gx_fail_errno(error, errno, "%s: creating the folder", path);
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

static gx_status list_entries(DIR *folder, gx_arena *arena, const char *path, char **names, size_t *count, gx_error *error)
{
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *full = gx_path_join(arena, path, entry->d_name);
        struct stat info;
        if (!full)
            return gx_fail_memory(error);
        if (stat(full, &info) != 0 || !S_ISREG(info.st_mode))
            continue;
        if (*count == MAX_FOLDER_ENTRIES)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: more than %u files", path, MAX_FOLDER_ENTRIES);
        names[*count] = gx_arena_copy_string(arena, entry->d_name);
        if (!names[*count])
            return gx_fail_memory(error);
        ++*count;
    }
    return GX_OK;
}

gx_status gx_folder_list(gx_arena *arena, const char *path, char ***names, size_t *count, gx_error *error)
{
    char **list = GX_NEW_ARRAY(arena, char *, MAX_FOLDER_ENTRIES);
    size_t found = 0;
    if (!list)
        return gx_fail_memory(error);
    DIR *folder = opendir(path);
    if (!folder)
        return gx_fail_errno(error, errno, "%s", path);
    const gx_status status = list_entries(folder, arena, path, list, &found, error);
    closedir(folder);
    if (status != GX_OK)
        return status;
    qsort(list, found, sizeof *list, compare_names);
    *names = list;
    *count = found;
    return GX_OK;
}
