/* Where ONNX Runtime's shared library may be. Only looks: loading is library.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/internal.h"

#define LIBRARY_PREFIX "libonnxruntime.so"
#define MAX_PLACES 64u
#define LAST_PYTHON_MINOR 40u
#define LAST_NODE_API 20u

#if defined(__aarch64__)
#define NODE_ARCHITECTURE "arm64"
#else
#define NODE_ARCHITECTURE "x64"
#endif

typedef struct places {
    gx_arena *arena;
    char **paths;
    size_t count;
} places;

/* Takes NULL for "memory is out", so that a freshly made path can be handed on. Surplus places are dropped. */
static gx_status add(places *p, char *path, gx_error *error)
{
    if (!path)
        return gx_fail_memory(error);
    if (p->count < MAX_PLACES)
        p->paths[p->count++] = path;
    return GX_OK;
}

/* The first file in `folder` that is called like the library, whatever its version. No such folder is fine. */
static gx_status add_from_folder(places *p, const char *folder, gx_error *error)
{
    char **names = NULL;
    size_t count = 0;
    if (!folder)
        return gx_fail_memory(error);
    if (!gx_path_is_folder(folder) || gx_folder_list(p->arena, folder, &names, &count, NULL) != GX_OK)
        return GX_OK;
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], LIBRARY_PREFIX, strlen(LIBRARY_PREFIX)) == 0)
            return add(p, gx_path_join(p->arena, folder, names[i]), error);
    return GX_OK;
}

static gx_status add_beside_program(places *p, gx_error *error)
{
    char program[4096];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return GX_OK;
    program[length] = 0;
    char *slash = strrchr(program, '/');
    if (!slash)
        return GX_OK;
    *slash = 0;
    return add_from_folder(p, gx_arena_printf(p->arena, "%s/../lib", program), error);
}

/* The onnxruntime package in the Python installation or environment at `prefix`, any Python 3. */
static gx_status add_python_prefix(places *p, const char *prefix, gx_error *error)
{
    static const char *const package_folders[] = {"lib/python3.%u/site-packages", "lib64/python3.%u/site-packages",
                                                  "lib/python3.%u/dist-packages", "local/lib/python3.%u/dist-packages"};
    for (size_t i = 0; i < sizeof package_folders / sizeof *package_folders; i++) {
        for (unsigned minor = LAST_PYTHON_MINOR; minor > 0; minor--) {
            char packages[64];
            snprintf(packages, sizeof packages, package_folders[i], minor);
            GX_TRY(add_from_folder(p, gx_arena_printf(p->arena, "%s/%s/onnxruntime/capi", prefix, packages), error));
        }
    }
    return GX_OK;
}

/* A virtual environment's python3 is a link out of it: the packages are beside the link, not beside its target. */
static gx_status add_python_on_path(places *p, gx_error *error)
{
    const char *folders = getenv("PATH");
    while (folders && *folders) {
        const size_t length = strcspn(folders, ":");
        char *python = gx_arena_printf(p->arena, "%.*s/python3", (int)length, folders);
        char *prefix = gx_arena_printf(p->arena, "%.*s/..", (int)length, folders);
        if (!python || !prefix)
            return gx_fail_memory(error);
        if (folders[0] == '/' && gx_path_exists(python))
            GX_TRY(add_python_prefix(p, prefix, error));
        folders += length + (folders[length] == ':');
    }
    const char *home = getenv("HOME");
    char *user = home ? gx_path_join(p->arena, home, ".local") : NULL;
    return user ? add_python_prefix(p, user, error) : GX_OK;
}

static gx_status add_node(places *p, gx_error *error)
{
    for (unsigned version = LAST_NODE_API; version > 0; version--) {
        char folder[96];
        snprintf(folder, sizeof folder, "node_modules/onnxruntime-node/bin/napi-v%u/linux/" NODE_ARCHITECTURE, version);
        GX_TRY(add_from_folder(p, folder, error));
    }
    return GX_OK;
}

static gx_status add_asked(places *p, const char *library, gx_error *error)
{
    if (!gx_path_is_folder(library))
        return add(p, gx_arena_copy_string(p->arena, library), error);
    GX_TRY(add_from_folder(p, library, error));
    if (p->count == 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: no " LIBRARY_PREFIX " in this folder", library);
    return GX_OK;
}

gx_status gx_runtime_places(gx_arena *arena, const char *library, char ***paths, size_t *count, bool *asked, gx_error *error)
{
    places p = {.arena = arena, .paths = GX_NEW_ARRAY(arena, char *, MAX_PLACES)};
    if (!p.paths)
        return gx_fail_memory(error);
    const char *named = library ? library : getenv("GEMMA_ONNX_ORT_LIBRARY");
    if (named && *named) {
        GX_TRY(add_asked(&p, named, error));
    } else {
        GX_TRY(add(&p, gx_arena_copy_string(arena, LIBRARY_PREFIX ".1"), error));
        GX_TRY(add(&p, gx_arena_copy_string(arena, LIBRARY_PREFIX), error));
        GX_TRY(add_beside_program(&p, error));
        GX_TRY(add_python_on_path(&p, error));
        GX_TRY(add_node(&p, error));
    }
    *paths = p.paths;
    *count = p.count;
    *asked = named && *named;
    return GX_OK;
}
