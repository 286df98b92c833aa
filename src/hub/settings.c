/* Reads the environment. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "hub/settings.h"
#include "hub/url.h"

#define TOKEN_LIMIT 4096
#define MAX_CONNECTIONS 64u
#define DEFAULT_CONNECTIONS 8u
#define DEFAULT_STALL_SECONDS 10u /* huggingface_hub's HF_HUB_DOWNLOAD_TIMEOUT */

static const char *get(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static bool is_true(const char *name)
{
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    const char *value = get(name);
    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

/* Strings made of the environment: of a failed allocation `failed` tells, once, at the end. */
typedef struct maker {
    gx_arena *arena;
    bool failed;
} maker;

static const char *join(maker *m, const char *folder, const char *name)
{
    const char *path = gx_path_join(m->arena, folder, name);
    m->failed = m->failed || !path;
    return path;
}

/* "~/x" as a shell would have it. */
static const char *expand(maker *m, const char *path)
{
    const char *home = get("HOME");
    return path[0] == '~' && path[1] == '/' && home ? join(m, home, path + 2) : path;
}

/* HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface; NULL: no HOME. */
static const char *huggingface_home(maker *m)
{
    if (get("HF_HOME"))
        return expand(m, get("HF_HOME"));
    if (get("XDG_CACHE_HOME"))
        return join(m, get("XDG_CACHE_HOME"), "huggingface");
    return get("HOME") ? join(m, get("HOME"), ".cache/huggingface") : NULL;
}

/* An empty name is none. */
static const char *named(const char *option)
{
    return option && option[0] ? option : NULL;
}

/* Without any, a local folder will do. */
static const char *find_cache(maker *m, const gx_hub_options *options, const char *home)
{
    const char *variable = get("HF_HUB_CACHE") ? get("HF_HUB_CACHE") : get("HUGGINGFACE_HUB_CACHE");
    if (named(options->cache_dir))
        return options->cache_dir;
    if (variable)
        return expand(m, variable);
    return home ? join(m, home, "hub") : named(options->local_dir);
}

/* Without the white space around it; NULL when nothing is left. It goes into a header: anything but plain characters is refused. */
static gx_status clean_token(const char **out, gx_arena *arena, const char *text, const char *from, gx_error *error)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1]))
        length--;
    *out = NULL;
    if (length == 0)
        return GX_OK;
    if (length > TOKEN_LIMIT)
        return gx_fail(error, GX_ERROR_ARGUMENT, "the token from %s is longer than any, %zu bytes", from, length);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return gx_fail(error, GX_ERROR_ARGUMENT, "the token from %s holds a character that no token has", from);
    *out = gx_arena_copy_bytes(arena, text, length);
    return *out ? GX_OK : gx_fail_memory(error);
}

/* The file that `hf auth login` writes. */
static gx_status token_from_file(const char **out, maker *m, const char *home, gx_error *error)
{
    const char *path = get("HF_TOKEN_PATH") ? expand(m, get("HF_TOKEN_PATH")) : home ? join(m, home, "token") : NULL;
    char *text = NULL;
    size_t nbytes = 0;
    if (!path || !gx_path_exists(path))
        return GX_OK;
    GX_TRY(gx_file_read_all(m->arena, path, TOKEN_LIMIT, &text, &nbytes, error));
    if (strlen(text) != nbytes)
        return gx_fail(error, GX_ERROR_ARGUMENT, "the token from %s holds a character that no token has", path);
    return clean_token(out, m->arena, text, path, error);
}

static gx_status find_token(gx_hub_settings *s, maker *m, const char *option, const char *home, gx_error *error)
{
    static const char *const variables[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    if (option)
        return clean_token(&s->token, m->arena, option, "the command line", error);
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return GX_OK;
    for (size_t i = 0; !s->token && i < sizeof variables / sizeof *variables; i++)
        if (get(variables[i]))
            GX_TRY(clean_token(&s->token, m->arena, get(variables[i]), variables[i], error));
    return s->token ? GX_OK : token_from_file(&s->token, m, home, error);
}

static gx_status find_endpoint(gx_hub_settings *s, gx_arena *arena, const char *option, gx_error *error)
{
    const char *endpoint = named(option) ? option : get("HF_ENDPOINT") ? get("HF_ENDPOINT") : "https://huggingface.co";
    size_t length = strlen(endpoint);
    while (length && endpoint[length - 1] == '/')
        length--;
    s->endpoint = gx_arena_copy_bytes(arena, endpoint, length);
    if (!s->endpoint)
        return gx_fail_memory(error);
    gx_status status = GX_OK;
    if (strpbrk(s->endpoint, "?#"))
        status = gx_fail(error, GX_ERROR_ARGUMENT, "a URL with '?' or '#' has no room for paths");
    else if (!s->offline)
        status = gx_url_check(s->endpoint, error);
    if (status != GX_OK)
        gx_error_note(error, "the endpoint (%s)", option ? "--endpoint" : "HF_ENDPOINT");
    return status;
}

static unsigned seconds_from(const char *name, unsigned otherwise)
{
    const char *value = get(name);
    const long seconds = value ? strtol(value, NULL, 10) : 0;
    return seconds > 0 && seconds < 3600 ? (unsigned)seconds : otherwise;
}

gx_status gx_hub_settings_make(gx_hub_settings *out, gx_arena *arena, const gx_hub_options *options, gx_error *error)
{
    gx_hub_options defaults;
    gx_hub_options_default(&defaults);
    if (!options)
        options = &defaults;
    maker m = {.arena = arena};
    const char *home = huggingface_home(&m);
    gx_hub_settings s = {
        .cache_dir = find_cache(&m, options, home),
        .local_dir = named(options->local_dir),
        .offline = options->offline || is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
        .connections = options->connections ? options->connections : DEFAULT_CONNECTIONS,
        .stall_seconds = seconds_from("HF_HUB_DOWNLOAD_TIMEOUT", DEFAULT_STALL_SECONDS),
        /* The library, unlike the curl program, does not look at these by itself. */
        .ca_file = get("CURL_CA_BUNDLE") ? get("CURL_CA_BUNDLE") : get("SSL_CERT_FILE") ? get("SSL_CERT_FILE") : get("REQUESTS_CA_BUNDLE"),
    };
    if (s.connections > MAX_CONNECTIONS)
        return gx_fail(error, GX_ERROR_ARGUMENT, "connections: %u; at most %u", s.connections, MAX_CONNECTIONS);
    if (!m.failed && !s.cache_dir)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no folder for the cache: neither HOME nor HF_HOME nor HF_HUB_CACHE is set; name one with --cache-dir");
    if (!m.failed)
        GX_TRY(find_token(&s, &m, options->token, home, error));
    if (m.failed)
        return gx_fail_memory(error);
    GX_TRY(find_endpoint(&s, arena, options->endpoint, error));
    *out = s;
    return GX_OK;
}

void gx_hub_options_default(gx_hub_options *options)
{
    *options = (gx_hub_options){.size = sizeof *options};
}
