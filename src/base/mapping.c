/* Files mapped into memory. */
#include <errno.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/file_internal.h"

struct gx_mapping {
    void *bytes; /* NULL: an empty file */
    uint64_t nbytes;
};

gx_status gx_mapping_open(gx_mapping **out, const char *path, gx_error *error)
{
    gx_file *file = NULL;
    GX_TRY(gx_file_open(&file, path, error));
    gx_mapping *mapping = gx_alloc(1, sizeof *mapping);
    gx_status status = mapping ? GX_OK : gx_fail_memory(error);
    if (mapping)
        *mapping = (gx_mapping){.nbytes = gx_file_nbytes(file)};
    if (mapping && mapping->nbytes) {
        mapping->bytes = gx_file_fault() ? MAP_FAILED : mmap(NULL, mapping->nbytes, PROT_READ, MAP_SHARED, gx_file_descriptor(file), 0);
        if (mapping->bytes == MAP_FAILED)
            status = gx_fail_errno(error, errno, "%s: mapping", path);
    }
    gx_file_close(file); /* the mapping stays */
    if (status != GX_OK) {
        gx_free(mapping);
        return status;
    }
    *out = mapping;
    return GX_OK;
}

void gx_mapping_close(gx_mapping *mapping)
{
    if (!mapping)
        return;
    if (mapping->bytes)
        munmap(mapping->bytes, mapping->nbytes);
    gx_free(mapping);
}

const void *gx_mapping_bytes(const gx_mapping *mapping)
{
    return mapping->bytes;
}

uint64_t gx_mapping_nbytes(const gx_mapping *mapping)
{
    return mapping->nbytes;
}
