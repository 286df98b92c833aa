/* What the commands share. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    interrupted = signal_number;
}

void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}; /* a second one kills */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool was_interrupted(void)
{
    return interrupted != 0;
}

double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int report_error(const char *name, const gx_error *error)
{
    fprintf(stderr, "gemma-onnx %s: %s\n", name, error->message);
    return (int)error->status;
}

gx_status parse_precisions(unsigned *out, const option_list *list, gx_error *error)
{
    *out = list->count ? 0 : *out;
    for (unsigned i = 0; i < list->count; i++) {
        const unsigned bit = strcmp(list->values[i], "all") == 0 ? (unsigned)GX_PRECISION_ALL : gx_precision_from_name(list->values[i]);
        if (!bit) {
            snprintf(error->message, sizeof error->message, "unknown precision '%s' (fp32, fp16, q4, q4f16, q8, int8)", list->values[i]);
            return error->status = GX_ERROR_ARGUMENT;
        }
        *out |= bit;
    }
    return GX_OK;
}

gx_status parse_choice(unsigned *out, const char *option_name, const char *value, const char *const *names, unsigned count, gx_error *error)
{
    for (unsigned i = 0; value && i < count; i++) {
        if (strcmp(names[i], value) == 0) {
            *out = i;
            return GX_OK;
        }
    }
    return value ? argument_error(error, "%s: there is no '%s'; see --help", option_name, value) : GX_OK;
}

gx_status parse_profile(gx_profile_choice *out, const char *name, gx_error *error)
{
    static const char *const profiles[] = {"ort", "standard", "primitive"};
    unsigned profile = *out;
    const gx_status status = parse_choice(&profile, "--profile", name, profiles, sizeof profiles / sizeof *profiles, error);
    *out = (gx_profile_choice)profile;
    return status;
}

void progress_begin(progress_line *line, bool quiet)
{
    *line = (progress_line){.enabled = !quiet && isatty(STDERR_FILENO)};
}

#define PROGRESS_INTERVAL 0.16 /* seconds: six times a second is enough for a reader */

static void print_remaining(double seconds)
{
    if (seconds < 90)
        fprintf(stderr, "  %.0f s left   ", seconds);
    else
        fprintf(stderr, "  %.0f min left  ", seconds / 60);
}

bool progress_show(void *context, const gx_progress *progress)
{
    progress_line *line = context;
    const double now = now_seconds();
    if (progress->total > 0 && (!line->phase || strcmp(line->phase, progress->phase) != 0)) {
        line->phase = progress->phase;
        line->started = now;
        line->first = progress->done;
    }
    if (line->enabled && now - line->shown >= PROGRESS_INTERVAL && progress->total > 0) {
        const double part = (double)progress->done / (double)progress->total, elapsed = now - line->started;
        const double rate = progress->done > line->first ? (double)(progress->done - line->first) / (elapsed > 0 ? elapsed : 1) : 0;
        fprintf(stderr, "\r%s %3.0f %%", progress->phase, 100 * part);
        if (progress->in_bytes)
            fprintf(stderr, "  %.2f of %.2f GB  %.0f MB/s", (double)progress->done / 1e9, (double)progress->total / 1e9, rate / 1e6);
        print_remaining(rate > 0 ? (double)(progress->total - progress->done) / rate : 0.0);
        line->shown = now;
        line->visible = true;
    }
    return !was_interrupted();
}

void progress_end(progress_line *line)
{
    if (line->visible)
        fputs("\r\033[K", stderr);
    line->visible = false;
}

bool print_text(void *context, const char *text, size_t nbytes)
{
    if (context)
        progress_end(context);
    return fwrite(text, 1, nbytes, stdout) == nbytes;
}

int finish_output(const char *name, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "gemma-onnx %s: writing to stdout failed\n", name);
    return GX_ERROR_IO;
}
