/* Writes tokenizer.json and tokenizer_config.json for an outside judge, from the metadata that stdin brings.
 * usage: gguf_files FOLDER   stdin: i64 bos, eos, unknown, padding, add_bos, add_eos, longest, template length, count (little
 * endian), the template, then per token f64 score, i64 type, i64 length, bytes. stderr: seconds, and how much the peak memory grew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "tokenizer/from_gguf.h"

typedef struct output {
    gx_output *file;
    uint64_t offset;
} output;

static gx_status write_piece(void *context, const void *bytes, size_t nbytes, gx_error *error)
{
    output *o = context;
    const gx_status status = gx_output_write(o->file, o->offset, bytes, nbytes, error);
    o->offset += nbytes;
    return status;
}

typedef gx_status (*write_function)(const gx_gguf_tokenizer *, gx_text_sink, gx_error *);

static gx_status write_file(const gx_gguf_tokenizer *source, const char *folder, const char *name, write_function write, gx_error *error)
{
    char path[4096];
    output o = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    GX_TRY(gx_output_create(&o.file, path, error));
    const gx_status status = write(source, (gx_text_sink){.write = write_piece, .context = &o}, error);
    if (status == GX_OK)
        return gx_output_commit(o.file, error);
    gx_output_discard(o.file);
    return status;
}

static void get(void *bytes, size_t nbytes)
{
    if (fread(bytes, 1, nbytes, stdin) != nbytes) {
        fprintf(stderr, "gguf_files: stdin ends too early\n");
        exit(EXIT_FAILURE);
    }
}

static int64_t get_number(void)
{
    int64_t number;
    get(&number, sizeof number);
    return number;
}

static char *get_text(gx_arena *arena, size_t nbytes)
{
    char *text = gx_arena_alloc(arena, nbytes + 1, 1);
    if (!text)
        exit(EXIT_FAILURE);
    get(text, nbytes);
    return text;
}

static gx_gguf_tokenizer get_source(gx_arena *arena)
{
    gx_gguf_tokenizer source = {.name = "stdin", .kind = "llama"};
    source.bos = get_number();
    source.eos = get_number();
    source.unknown = get_number();
    source.padding = get_number();
    source.add_bos = get_number();
    source.add_eos = get_number();
    source.longest = (uint64_t)get_number();
    const size_t template_nbytes = (size_t)get_number();
    source.count = (size_t)get_number();
    source.chat_template = template_nbytes ? get_text(arena, template_nbytes) : NULL;
    gx_gguf_piece *pieces = GX_NEW_ARRAY(arena, gx_gguf_piece, source.count);
    double *scores = GX_NEW_ARRAY(arena, double, source.count);
    int64_t *types = GX_NEW_ARRAY(arena, int64_t, source.count);
    if (!pieces || !scores || !types)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < source.count; i++) {
        get(&scores[i], sizeof scores[i]);
        types[i] = get_number();
        pieces[i].nbytes = (size_t)get_number();
        pieces[i].bytes = get_text(arena, pieces[i].nbytes);
    }
    source.pieces = pieces;
    source.scores = scores;
    source.types = types;
    return source;
}

/* Of this program alone: getrusage's figure starts with that of the parent. */
static long peak_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %ld", &kib);
    if (file)
        fclose(file);
    return kib;
}

int main(int argc, char **argv)
{
    gx_arena *arena = gx_arena_new();
    gx_error error = {0};
    if (argc != 2 || !arena)
        return EXIT_FAILURE;
    const gx_gguf_tokenizer source = get_source(arena);
    const long before = peak_kib();
    const clock_t start = clock();
    gx_status status = write_file(&source, argv[1], "tokenizer.json", gx_gguf_tokenizer_write, &error);
    if (status == GX_OK)
        status = write_file(&source, argv[1], "tokenizer_config.json", gx_gguf_tokenizer_config_write, &error);
    fprintf(stderr, "%.2f s, peak %ld KiB, %ld before, %s\n", (double)(clock() - start) / CLOCKS_PER_SEC, peak_kib(), before,
            status == GX_OK ? "fine" : error.message);
    gx_arena_free(arena);
    return status == GX_OK ? EXIT_SUCCESS : (int)status;
}
