/* Command lines: one table of options per command. '-' and '_' are alike in long names, so that --output_dir works too. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "gemma_onnx.h"

typedef enum option_kind {
    OPTION_FLAG,   /* bool * */
    OPTION_STRING, /* const char ** */
    OPTION_SECRET, /* secret *: a string that is wiped from the command line, which other users of the machine can see */
    OPTION_UINT,   /* unsigned * */
    OPTION_DOUBLE, /* double * */
    OPTION_LIST,   /* option_list *: one or more values up to the next option */
} option_kind;

#define OPTION_LIST_MAX 16u

typedef struct option_list {
    const char *values[OPTION_LIST_MAX];
    unsigned count;
} option_list;

#define SECRET_MAX 4096u

typedef struct secret {
    char text[SECRET_MAX + 1]; /* "": not given */
} secret;

typedef struct option {
    const char *names[4]; /* "-o", "--output", "--output-dir"; unused ones NULL */
    option_kind kind;
    void *target;
    const char *value_name; /* "DIR" */
    const char *help;
} option;

/* Parses argv[1…]. Positional arguments go to `positional`, at most `max_positional`. Messages name the option and hint at
 * --help. Returns GX_ERROR_ARGUMENT on misuse. */
gx_status parse_arguments(int argc, char **argv, const option *options, unsigned option_count, const char **positional,
                          unsigned max_positional, unsigned *positional_count, gx_error *error);

/* GX_ERROR_ARGUMENT with this message. */
gx_status argument_error(gx_error *error, const char *format, ...);

/* Numbers above 0 into `out`, from its first entry on; an empty list leaves it as it is. `name` is the option's. */
gx_status parse_numbers(unsigned *out, unsigned capacity, const char *name, const option_list *list, gx_error *error);

/* The options part of a help text. */
void print_options(const option *options, unsigned option_count);

#endif
