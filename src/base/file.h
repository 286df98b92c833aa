/*
 * Files: positioned reads and writes, whole-file reads with a limit, atomic small writes, links, locks. The one place that calls the
 * operating system for files; every byte read from a source is counted here, and tests can make the nth call fail
 * (gx_file_fail_after).
 */
#ifndef GX_BASE_FILE_H
#define GX_BASE_FILE_H

#include "base/arena.h"

/* Test seam: of the calls to open, read, create, write, resize or commit a file, the nth from now (1 = the next) and all
 * later ones fail with GX_ERROR_IO; 0 switches it off. */
void gx_file_fail_after(uint64_t n);

typedef struct gx_file gx_file; /* safe for positioned calls from several threads at once */

gx_status gx_file_open(gx_file **out, const char *path, gx_error *error) GX_MUST_USE; /* for reading; regular files only */
void gx_file_close(gx_file *file);                                                    /* NULL allowed */

uint64_t gx_file_nbytes(const gx_file *file);
const char *gx_file_path(const gx_file *file); /* as opened */

/* Exactly nbytes from offset; a short file is GX_ERROR_FORMAT. */
gx_status gx_file_read(gx_file *file, uint64_t offset, void *buffer, size_t nbytes, gx_error *error) GX_MUST_USE;

/* A file's bytes in memory, read only, brought in as they are touched. They must not change meanwhile. */
typedef struct gx_mapping gx_mapping;
gx_status gx_mapping_open(gx_mapping **out, const char *path, gx_error *error) GX_MUST_USE;
void gx_mapping_close(gx_mapping *mapping); /* NULL allowed */
const void *gx_mapping_bytes(const gx_mapping *mapping);
uint64_t gx_mapping_nbytes(const gx_mapping *mapping);

/* All bytes read through gx_file_read on any file since the program began (for the "one read of the source" bar). */
uint64_t gx_file_nbytes_read_total(void);

/* A whole file of at most `limit` bytes, 0-terminated, in the arena. */
gx_status gx_file_read_all(gx_arena *arena, const char *path, uint64_t limit, char **out, size_t *nbytes, gx_error *error) GX_MUST_USE;

/* Output: created as "<path>.partial" (replacing a left-over one); gx_output_commit renames it to path, gx_output_discard
 * removes it. Exactly one of the two ends its life. */
typedef struct gx_output gx_output;
gx_status gx_output_create(gx_output **out, const char *path, gx_error *error) GX_MUST_USE;
gx_status gx_output_write(gx_output *output, uint64_t offset, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;
/* Sets the size. Grown parts read as zeros, and their disk space is reserved where the file system can: a full disk shows
 * here, not in the middle of the work. */
gx_status gx_output_resize(gx_output *output, uint64_t nbytes, gx_error *error) GX_MUST_USE;
gx_status gx_output_commit(gx_output *output, gx_error *error) GX_MUST_USE;
void gx_output_discard(gx_output *output); /* NULL allowed */

/* Work that a later run takes up again: the unfinished file is called `partial`, and what it holds is kept. gx_output_suspend,
 * too, ends an output's life: it leaves the unfinished file where it is. */
gx_status gx_output_resume(gx_output **out, const char *partial, const char *path, gx_error *error) GX_MUST_USE;
void gx_output_suspend(gx_output *output); /* NULL allowed */
gx_status gx_output_commit_or_suspend(gx_output *output, gx_error *error) GX_MUST_USE; /* a failure leaves the unfinished file where it is */
/* Sets the size without reserving disk space. */
gx_status gx_output_extend(gx_output *output, uint64_t nbytes, gx_error *error) GX_MUST_USE;

/* Small whole-file write through a gx_output. */
gx_status gx_file_write_all(const char *path, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

/* The same where others may write that file at the same moment: the unfinished one has a name of its own in `folder`, on the same file system. */
gx_status gx_file_write_shared(const char *path, const char *folder, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

typedef struct gx_path_info {
    uint64_t nbytes;
    uint64_t allocated_nbytes; /* on disk: less in a file with holes */
    double modified;           /* seconds since 1970 */
} gx_path_info;
bool gx_path_stat(const char *path, gx_path_info *out); /* of regular files, links followed; false: there is none */

bool gx_path_exists(const char *path);
bool gx_path_is_folder(const char *path);
gx_status gx_folder_create(const char *path, gx_error *error) GX_MUST_USE; /* with its parents; existing is fine */
gx_status gx_disk_free_nbytes(const char *path, uint64_t *out, gx_error *error) GX_MUST_USE;
/* Names of the regular files in a folder, sorted; in the arena. */
gx_status gx_folder_list(gx_arena *arena, const char *path, char ***names, size_t *count, gx_error *error) GX_MUST_USE;
gx_status gx_folder_list_folders(gx_arena *arena, const char *path, char ***names, size_t *count, gx_error *error) GX_MUST_USE; /* its folders' */
char *gx_path_join(gx_arena *arena, const char *folder, const char *name); /* NULL when memory is out */
const char *gx_path_name(const char *path); /* after the last '/' */

/* A symbolic link at `path`, in place of what was there, at no moment missing; `target` is stored as it is. Made in `folder`, on the same file
 * system. */
gx_status gx_link_create(const char *target, const char *path, const char *folder, gx_error *error) GX_MUST_USE;
/* A file, or a folder with all that is in it; links are not followed. What cannot be removed stays. */
void gx_path_remove(const char *path);

/* A lock between processes: flock on a file, which is created, with its folder's rights for the group, and stays. */
typedef struct gx_lock gx_lock;
/* *out is NULL when another process holds it. */
gx_status gx_lock_try(gx_lock **out, const char *path, gx_error *error) GX_MUST_USE;
gx_status gx_lock_wait(gx_lock **out, const char *path, gx_error *error) GX_MUST_USE; /* until it is had */
void gx_lock_release(gx_lock *lock); /* NULL allowed */

#endif
