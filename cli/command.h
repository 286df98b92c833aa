/* The commands, and what they share: the terminal, progress, the interrupt. The program uses the public header only. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "arguments.h"

typedef struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
} command;

extern const command commands[]; /* ends with a NULL name */

int command_build(int argc, char **argv);
int command_convert(int argc, char **argv);
int command_fetch(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_run(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_models(int argc, char **argv);

/* Options that every command has. */
typedef struct common_options {
    bool help, json, quiet;
    unsigned threads;
} common_options;
#define COMMON_OPTIONS(c)                                                                                              \
    {{"--threads"}, OPTION_UINT, &(c).threads, "N", "threads to use (default: all processors)"},                       \
    {{"--json"}, OPTION_FLAG, &(c).json, NULL, "results as JSON on stdout"},                                           \
    QUIET_AND_HELP(c)
#define QUIET_AND_HELP(c)                                                                                              \
    {{"-q", "--quiet"}, OPTION_FLAG, &(c).quiet, NULL, "no progress, no summary; errors only"},                        \
    {{"-h", "--help"}, OPTION_FLAG, &(c).help, NULL, "this text"}

/* Sets the bits of the named precisions; leaves *out when the list is empty. */
gx_status parse_precisions(unsigned *out, const option_list *list, gx_error *error);

/* The number of a named choice; a name that is NULL leaves *out. */
gx_status parse_choice(unsigned *out, const char *option_name, const char *value, const char *const *names, unsigned count, gx_error *error);
gx_status parse_profile(gx_profile_choice *out, const char *name, gx_error *error);
#define PROFILE_OPTION(name) {{"--profile"}, OPTION_STRING, &(name), "NAME", "operators: ort, standard, primitive (default ort)"}

/* "gemma-onnx build: message" on stderr; returns the exit status. */
int report_error(const char *name, const gx_error *error);

/* Progress on stderr: one line that is rewritten on a terminal, nothing otherwise. Context: a progress_line. Returns false
 * after SIGINT or SIGTERM, so that the library cleans up. */
typedef struct progress_line {
    bool enabled, visible;
    const char *phase; /* of what follows; NULL: not begun */
    double started, shown;
    uint64_t first; /* done when the phase began: not part of its rate */
} progress_line;
void progress_begin(progress_line *line, bool quiet);
bool progress_show(void *context, const gx_progress *progress);
void progress_end(progress_line *line);

/* Makes SIGINT and SIGTERM set a flag instead of killing. */
void catch_signals(void);
bool was_interrupted(void);

/* Writes to stdout; for gx_text_callback. Context: the progress_line that it must not be mixed with; NULL: none. */
bool print_text(void *context, const char *text, size_t nbytes);

/* Flushes stdout: a failed write is an error, too. */
int finish_output(const char *name, int status);

double now_seconds(void);

#endif
