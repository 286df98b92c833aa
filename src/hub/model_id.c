/* Takes a Hub id apart. */
#include <ctype.h>
#include <string.h>

#include "hub/model_id.h"

#define MAX_NAME 96 /* the Hub's own limit of each part */
#define MAX_PATH 1024
#define MAX_PART 255

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The Hub's rule: letters, digits, '_', '-', '.'; neither "--" nor ".."; '-' and '.' not at an end. */
static bool is_name(const char *text, size_t length)
{
    if (length == 0 || length > MAX_NAME || !is_word(text[0]) || !is_word(text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_word(text[i]) && ((text[i] != '-' && text[i] != '.') || text[i + 1] == text[i]))
            return false;
    return true;
}

static bool is_part(const char *part, size_t length)
{
    return length > 0 && length <= MAX_PART && !(length == 1 && part[0] == '.') && !(length == 2 && memcmp(part, "..", 2) == 0);
}

bool gx_is_safe_file_name(const char *name)
{
    if (strlen(name) > MAX_PATH)
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\')
            return false;
    for (const char *part = name;; part++) {
        const size_t length = strcspn(part, "/");
        if (!is_part(part, length))
            return false;
        part += length;
        if (!*part)
            return true;
    }
}

bool gx_is_safe_revision(const char *revision)
{
    return gx_is_safe_file_name(revision) && !strstr(revision, "..") && strspn(revision, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                                         "0123456789._/-+") == strlen(revision);
}

bool gx_is_commit(const char *revision)
{
    return strlen(revision) == 40 && strspn(revision, "0123456789abcdef") == 40;
}

bool gx_model_id_parse(gx_model_id *out, gx_arena *arena, const char *text)
{
    const char *slash = strchr(text, '/');
    if (!slash)
        return false;
    const size_t owner = (size_t)(slash - text), name = strcspn(slash + 1, "@:");
    const char *rest = slash + 1 + name;
    if (!is_name(text, owner) || !is_name(slash + 1, name))
        return false;
    gx_model_id id = {.repository = gx_arena_copy_bytes(arena, text, owner + 1 + name)};
    if (*rest == '@') {
        const size_t length = strcspn(rest + 1, ":");
        id.revision = gx_arena_copy_bytes(arena, rest + 1, length);
        if (!id.revision || !gx_is_safe_revision(id.revision))
            return false;
        rest += 1 + length;
    }
    if (*rest == ':') {
        id.file = gx_arena_copy_string(arena, rest + 1);
        if (!id.file || !gx_is_safe_file_name(id.file))
            return false;
    }
    *out = id;
    return id.repository != NULL;
}
