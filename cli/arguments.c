/* Parses command lines. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

gx_status argument_error(gx_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->status = GX_ERROR_ARGUMENT;
    return GX_ERROR_ARGUMENT;
}

/* Compares up to the length of `given`, which may end at '='. */
static bool same_name(const char *name, const char *given, size_t length)
{
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char a = name[i], b = i >= 2 && given[i] == '_' ? '-' : given[i];
        if (a != b)
            return false;
    }
    return true;
}

static const option *find_option(const option *options, unsigned count, const char *given, size_t length)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned n = 0; n < 4 && options[i].names[n]; n++)
            if (same_name(options[i].names[n], given, length))
                return &options[i];
    return NULL;
}

static gx_status set_uint(const option *opt, const char *name, const char *text, gx_error *error)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value > 0xffffffffu)
        return argument_error(error, "%s: '%s' is not a whole number", name, text);
    *(unsigned *)opt->target = (unsigned)value;
    return GX_OK;
}

static gx_status set_double(const option *opt, const char *name, const char *text, gx_error *error)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end)
        return argument_error(error, "%s: '%s' is not a number", name, text);
    *(double *)opt->target = value;
    return GX_OK;
}

static gx_status add_to_list(const option *opt, const char *name, const char *text, gx_error *error)
{
    option_list *list = opt->target;
    if (list->count == OPTION_LIST_MAX)
        return argument_error(error, "%s: more than %u values", name, OPTION_LIST_MAX);
    list->values[list->count++] = text;
    return GX_OK;
}

/* The arguments lie in memory of this process, and /proc shows what is there. */
static gx_status take_secret(const option *opt, const char *name, char *text, gx_error *error)
{
    secret *target = opt->target;
    const size_t length = strlen(text);
    if (length <= SECRET_MAX)
        memcpy(target->text, text, length + 1);
    memset(text, '*', length);
    return length <= SECRET_MAX ? GX_OK : argument_error(error, "%s: longer than %u characters", name, SECRET_MAX);
}

static gx_status set_value(const option *opt, const char *name, char *text, gx_error *error)
{
    switch (opt->kind) {
    case OPTION_SECRET: return take_secret(opt, name, text, error);
    case OPTION_STRING: *(const char **)opt->target = text; return GX_OK;
    case OPTION_UINT: return set_uint(opt, name, text, error);
    case OPTION_DOUBLE: return set_double(opt, name, text, error);
    case OPTION_LIST: return add_to_list(opt, name, text, error);
    case OPTION_FLAG: break;
    }
    return argument_error(error, "%s takes no value", name);
}

typedef struct cursor {
    int argc;
    char **argv;
    int at;
} cursor;

static bool looks_like_option(const char *text)
{
    return text[0] == '-' && text[1] != 0;
}

static gx_status take_option(cursor *c, const option *options, unsigned count, gx_error *error)
{
    char *given = c->argv[c->at++];
    char *equals = strncmp(given, "--", 2) == 0 ? strchr(given, '=') : NULL;
    const size_t length = equals ? (size_t)(equals - given) : strlen(given);
    const option *opt = find_option(options, count, given, length);
    if (!opt)
        return argument_error(error, "unknown option '%s'; see --help", given);
    if (opt->kind == OPTION_FLAG) {
        if (equals)
            return argument_error(error, "%s takes no value", opt->names[0]);
        *(bool *)opt->target = true;
        return GX_OK;
    }
    if (equals)
        return set_value(opt, opt->names[0], equals + 1, error);
    if (c->at == c->argc)
        return argument_error(error, "%s needs a value (%s); see --help", given, opt->value_name);
    do {
        const gx_status status = set_value(opt, given, c->argv[c->at++], error);
        if (status != GX_OK)
            return status;
    } while (opt->kind == OPTION_LIST && c->at < c->argc && !looks_like_option(c->argv[c->at]));
    return GX_OK;
}

gx_status parse_arguments(int argc, char **argv, const option *options, unsigned option_count, const char **positional,
                          unsigned max_positional, unsigned *positional_count, gx_error *error)
{
    cursor c = {.argc = argc, .argv = argv, .at = 1};
    bool only_positional = false;
    *positional_count = 0;
    while (c.at < argc) {
        const char *given = argv[c.at];
        if (!only_positional && strcmp(given, "--") == 0) {
            only_positional = true;
            c.at++;
        } else if (!only_positional && looks_like_option(given)) {
            const gx_status status = take_option(&c, options, option_count, error);
            if (status != GX_OK)
                return status;
        } else if (*positional_count == max_positional) {
            return argument_error(error, "unexpected argument '%s'; see --help", given);
        } else {
            positional[(*positional_count)++] = argv[c.at++];
        }
    }
    return GX_OK;
}

void print_options(const option *options, unsigned option_count)
{
    puts("Options:");
    for (unsigned i = 0; i < option_count; i++) {
        char left[96];
        int used = 0;
        for (unsigned n = 0; n < 4 && options[i].names[n]; n++)
            used += snprintf(left + used, sizeof left - (size_t)used, "%s%s", n ? ", " : "", options[i].names[n]);
        if (options[i].value_name)
            used += snprintf(left + used, sizeof left - (size_t)used, " %s", options[i].value_name);
        if (used > 34)
            printf("  %s\n  %-34s%s\n", left, "", options[i].help);
        else
            printf("  %-34s%s\n", left, options[i].help);
    }
}

gx_status parse_numbers(unsigned *out, unsigned capacity, const char *name, const option_list *list, gx_error *error)
{
    if (list->count > capacity)
        return argument_error(error, "%s: at most %u values", name, capacity);
    if (list->count)
        memset(out, 0, capacity * sizeof *out);
    for (unsigned i = 0; i < list->count; i++) {
        char *end = NULL;
        const char *text = list->values[i];
        const unsigned long value = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end || value == 0 || value > 1u << 30)
            return argument_error(error, "%s: '%s' is no number above 0", name, text);
        out[i] = (unsigned)value;
    }
    return GX_OK;
}
