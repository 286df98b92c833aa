/* Talk about what comes from the Hub: on stderr, a line for the plan, for each file and each notice. */
#include <stdio.h>

#include "hub.h"

static void print_size(uint64_t nbytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB"};
    double size = (double)nbytes;
    unsigned unit = 0;
    for (; size >= 1000 && unit < 3; unit++)
        size /= 1000;
    fprintf(stderr, "%.*f %s", unit ? 1 : 0, size, units[unit]);
}

static void print_plan(const gx_hub_event *event)
{
    fprintf(stderr, "%s", event->name);
    if (event->commit[0])
        fprintf(stderr, " (commit %.12s)", event->commit);
    fprintf(stderr, ": %zu file%s, ", event->files, event->files == 1 ? "" : "s");
    print_size(event->nbytes);
    if (event->missing_nbytes == 0) {
        fputs(", all here\n", stderr);
    } else {
        fputs(", to fetch: ", stderr);
        print_size(event->missing_nbytes);
        fputc('\n', stderr);
    }
}

static void print_file(const char *what, const char *name, uint64_t nbytes)
{
    fprintf(stderr, "  %-7s %s  ", what, name);
    print_size(nbytes);
    fputc('\n', stderr);
}

static void on_event(void *context, const gx_hub_event *event)
{
    hub_arguments *hub = context;
    progress_end(hub->line);
    switch (event->kind) {
    case GX_HUB_PLAN:
        hub->shows_plan = hub->shows_plan || event->missing_nbytes > 0;
        if (hub->shows_plan)
            print_plan(event);
        break;
    case GX_HUB_FILE_PLANNED:
        if (hub->shows_plan)
            print_file(event->missing_nbytes ? "fetch" : "here", event->name, event->nbytes);
        break;
    case GX_HUB_FILE_DONE: print_file("done", event->name, event->nbytes); break;
    case GX_HUB_NOTICE: fprintf(stderr, "note: %s\n", event->message); break;
    }
}

const gx_hub_options *hub_options(hub_arguments *hub, progress_line *line, bool quiet, bool shows_plan)
{
    hub->line = line;
    hub->shows_plan = shows_plan;
    hub->options.token = hub->token.text[0] ? hub->token.text : NULL;
    hub->options.event = quiet ? NULL : on_event;
    hub->options.event_context = hub;
    if (hub->options.token && !quiet)
        fputs("note: other users of this machine can see a command line; HF_TOKEN in the environment, or the file of `hf auth login`, is safer than --hf-token\n", stderr);
    return &hub->options;
}
