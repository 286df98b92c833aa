/* What the commands that take a Hub id share: its options, and what is said while a model comes. */
#ifndef CLI_HUB_H
#define CLI_HUB_H

#include "command.h"

typedef struct hub_arguments {
    gx_hub_options options; /* by gx_hub_options_default first */
    secret token;
    progress_line *line;
    bool shows_plan;
} hub_arguments;

#define HUB_OPTIONS(h)                                                                                                                           \
    {{"--hf-token", "--token"}, OPTION_SECRET, &(h).token, "TOKEN", "of the Hub; the environment's HF_TOKEN is safer"},                          \
    {{"--revision"}, OPTION_STRING, &(h).options.revision, "NAME", "branch, tag or commit on the Hub (default main)"},                           \
    {{"--cache-dir"}, OPTION_STRING, &(h).options.cache_dir, "DIR", "the Hub's cache (default HF_HUB_CACHE, ~/.cache/huggingface/hub)"},         \
    {{"--local-dir"}, OPTION_STRING, &(h).options.local_dir, "DIR", "fetch into this folder instead of the cache"},                              \
    {{"--endpoint"}, OPTION_STRING, &(h).options.endpoint, "URL", "of the Hub (default HF_ENDPOINT, https://huggingface.co)"},                   \
    {{"--offline"}, OPTION_FLAG, &(h).options.offline, NULL, "ask nobody, take what the cache has (HF_HUB_OFFLINE=1)"},                          \
    {{"--connections"}, OPTION_UINT, &(h).options.connections, "N", "transfers at once, at most 64 (default 8)"}

/* After parsing: what the library gets. Progress lines and plain ones do not overwrite each other. `shows_plan`: also of a model that is here. */
const gx_hub_options *hub_options(hub_arguments *hub, progress_line *line, bool quiet, bool shows_plan);

#endif
