/*
 * gemma-onnx: Google's Gemma checkpoints to ONNX files that run, and the proof that they are right.
 *
 * Every function is safe to call from several threads at once, on different outputs. Nothing here prints, exits or
 * installs signal handlers. Strings are UTF-8, paths are the platform's. Options structs are filled by their
 * `_default()` function first; a field left at its default keeps the meaning written beside it.
 */
#ifndef GEMMA_ONNX_H
#define GEMMA_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GX_VERSION_MAJOR 0
#define GX_VERSION_MINOR 1
#define GX_VERSION_PATCH 0

#if defined(_WIN32)
#define GX_API
#else
#define GX_API __attribute__((visibility("default")))
#endif

/* ---- Status ---------------------------------------------------------------------------------------------------- */

/* Numbered for good: each is the exit status of the program, too. A new one must change what a caller does. */
typedef enum gx_status {
    GX_OK = 0,
    GX_ERROR_ARGUMENT = 2,    /* the caller's options contradict themselves or each other */
    GX_ERROR_IO = 3,          /* the operating system refused: missing file, full disk, … */
    GX_ERROR_FORMAT = 4,      /* an input file is not what it claims to be */
    GX_ERROR_UNSUPPORTED = 5, /* a valid input that this version cannot convert, or a missing run-time library */
    GX_ERROR_MEMORY = 6,
    GX_ERROR_NETWORK = 7,
    GX_ERROR_MISMATCH = 8, /* a verification threshold was not met */
    GX_ERROR_CANCELLED = 9,
} gx_status;

/* Filled by the first failure; empty ("" and GX_OK) otherwise. Storage is the caller's. One line, no newline. */
typedef struct gx_error {
    gx_status status;
    char message[1024];
} gx_error;

/* "0.1.0". Static storage. */
GX_API const char *gx_version(void);

/* ---- Progress and text ----------------------------------------------------------------------------------------- */

/* Called now and then, never from two threads at once, from any thread. Return false to cancel: the running function
 * removes what it half wrote and returns GX_ERROR_CANCELLED. */
typedef struct gx_progress {
    const char *phase; /* "convert", "verify": static storage */
    bool in_bytes;     /* done and total are bytes; else steps */
    uint64_t done;
    uint64_t total;
} gx_progress;
typedef bool (*gx_progress_callback)(void *context, const gx_progress *progress);

/* Receives pieces of a text or JSON document in order. Return false to stop with GX_ERROR_IO. */
typedef bool (*gx_text_callback)(void *context, const char *text, size_t nbytes);

typedef enum gx_format { GX_FORMAT_TEXT, GX_FORMAT_JSON } gx_format;

/* ---- Hub ------------------------------------------------------------------------------------------------------- */

/* Where the Hugging Face Hub is asked for, wherever a function takes a MODEL that is no path but an id: "org/name", "org/name@revision",
 * "org/name:file.gguf". A path that exists is a path. Each setting has its place in the environment, too, that of Python's huggingface_hub. */
typedef enum gx_hub_event_kind {
    GX_HUB_PLAN,         /* before anything is fetched: `name` is org/name, nbytes that of all files, missing_nbytes what is not here yet */
    GX_HUB_FILE_PLANNED, /* then each file: name, nbytes, missing_nbytes */
    GX_HUB_FILE_DONE,    /* a file is whole and what the Hub says it is: name, nbytes */
    GX_HUB_NOTICE,       /* something to know: message */
} gx_hub_event_kind;
typedef struct gx_hub_event {
    gx_hub_event_kind kind;
    const char *name, *message; /* valid during the call; NULL where the kind has none */
    uint64_t nbytes, missing_nbytes;
    const char *commit; /* of GX_HUB_PLAN, as the next */
    size_t files;
} gx_hub_event;
typedef void (*gx_hub_callback)(void *context, const gx_hub_event *event);

typedef struct gx_hub_options {
    size_t size;           /* sizeof(gx_hub_options), set by the default function */
    const char *token;     /* NULL: HF_TOKEN, then the file of HF_TOKEN_PATH, then HF_HOME/token. Sent to the endpoint's host alone */
    const char *revision;  /* branch, tag or commit; NULL: that of the id, else "main" */
    const char *cache_dir; /* NULL: HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub */
    const char *local_dir; /* plain files go there, not into the cache; NULL, the default: into the cache */
    const char *endpoint;  /* NULL: HF_ENDPOINT, else https://huggingface.co; plain http only to this machine */
    bool offline;          /* also by HF_HUB_OFFLINE: ask nobody, take what is in the cache */
    unsigned connections;  /* transfers at once, at most 64; 0, the default: 8 */
    gx_hub_callback event; /* called from the thread that called us; NULL: none */
    void *event_context;
} gx_hub_options;

GX_API void gx_hub_options_default(gx_hub_options *options);

typedef struct gx_fetch_options {
    size_t size;               /* sizeof(gx_fetch_options), set by the default function */
    const char *model;         /* an id; required */
    const gx_hub_options *hub; /* NULL: all defaults */
    bool dry_run;              /* ask what there is, say the plan, bring nothing */
    gx_format format;          /* of what goes to `text`: the path and a newline; or in JSON an object a line: plan, file, notice, progress, done */
    gx_progress_callback progress; /* NULL: none */
    void *progress_context;
    gx_text_callback text; /* NULL: none */
    void *text_context;
} gx_fetch_options;

GX_API void gx_fetch_options_default(gx_fetch_options *options);

/* Brings what a conversion needs of a model and gives the path that other functions take as MODEL: the folder, or the .gguf file that the id
 * names. What is there already is not brought again; what a broken line left is taken up. `error` may be NULL. */
GX_API gx_status gx_fetch(const gx_fetch_options *options, gx_error *error);

/* ---- Build ----------------------------------------------------------------------------------------------------- */

/* Bits of gx_build_options.precisions, and the files they give; of Gemma 3n and 4 also embed_tokens….onnx and decoder_model_merged….onnx. */
enum {
    GX_PRECISION_FP32 = 1 << 0,  /* onnx/model.onnx */
    GX_PRECISION_FP16 = 1 << 1,  /* onnx/model_fp16.onnx */
    GX_PRECISION_Q4 = 1 << 2,    /* onnx/model_q4.onnx: 4-bit blocks, fp32 activations */
    GX_PRECISION_Q4F16 = 1 << 3, /* onnx/model_q4f16.onnx: 4-bit blocks, fp16 activations */
    GX_PRECISION_Q8 = 1 << 4,    /* onnx/model_quantized.onnx: 8-bit weights that unfold to fp32, for WebAssembly */
    GX_PRECISION_INT8 = 1 << 5,  /* onnx/model_int8.onnx: 8-bit blocks, 8-bit arithmetic, for processors and GPUs */
    GX_PRECISION_ALL = (1 << 6) - 1,
};

/* "fp32" → its bit; 0: no such precision. */
GX_API unsigned gx_precision_from_name(const char *name);

typedef enum gx_profile_choice {
    GX_PROFILE_ORT,       /* ONNX Runtime's own operators: the fastest there */
    GX_PROFILE_STANDARD,  /* operators of ai.onnx alone, opset 24 */
    GX_PROFILE_PRIMITIVE, /* products, sums, softmax and gathers: for compilers of accelerators; opset 17, with 4-bit weights 21 */
} gx_profile_choice;

typedef struct gx_build_options {
    size_t size;              /* sizeof(gx_build_options), set by the default function */
    const char *model;        /* a Hugging Face folder, a .gguf file or a Hub id; required */
    const gx_hub_options *hub; /* for an id; NULL: all defaults */
    const char *output_dir;   /* created if missing; required unless dry_run */
    unsigned precisions;      /* default: GX_PRECISION_FP32 */
    gx_profile_choice profile; /* default: GX_PROFILE_ORT */
    unsigned block_size;      /* of all 4-bit weights of q4 and q4f16: 16, 32, 64, 128; 0: 32, the embedding's 64 */
    unsigned embedding_bits;  /* of q4 and q4f16: 4, 8, 16, 32; 0, the default: what docs/quantisation.md found best */
    int accuracy_level;       /* of MatMulNBits: 0, 1, 4; default 4 */
    unsigned embedding_dim;   /* of EmbeddingGemma: so many leading values of each embedding, brought to length 1 again; 0, the default: all */
    bool all_logits;          /* logits of every position instead of the last */
    unsigned genai_precision; /* one bit: of the model that genai_config.json names; 0, the default: of those in the folder q4, else int8, q8, fp32, fp16, q4f16 */
    bool force;               /* overwrite existing output */
    bool dry_run;             /* print the plan to `text`, write nothing; else `text` receives a summary */
    unsigned threads;         /* 0, the default: all processors */
    gx_format format;         /* of what goes to `text` */
    gx_progress_callback progress; /* NULL: none */
    void *progress_context;
    gx_text_callback text; /* NULL: none */
    void *text_context;
} gx_build_options;

GX_API void gx_build_options_default(gx_build_options *options);

/* Reads every source byte once and writes every precision. On failure nothing half-written stays. `error` may be NULL. */
GX_API gx_status gx_build(const gx_build_options *options, gx_error *error);

/* ---- Convert --------------------------------------------------------------------------------------------------- */

#define GX_CONVERT_MAX_LENGTHS 8

typedef struct gx_convert_options {
    size_t size;            /* sizeof(gx_convert_options), set by the default function */
    gx_build_options build; /* source, output, precisions, profile, progress: as for gx_build */
    unsigned batch_size;    /* rows of every call: 1 to 8; default 1 */
    unsigned sequence_lengths[GX_CONVERT_MAX_LENGTHS]; /* ids of a prefill call, one graph for each; default 128 alone; 0: unused */
    unsigned max_length;       /* positions that the caches hold; default 512 */
    bool bounded_cache;        /* layers with a sliding window keep no more than it, and some slack */
    unsigned first_precision;  /* the bit whose files have no precision in their names; 0, the default: the lowest */
    const char *lint;          /* qnn, coreml, openvino, webnn, webgpu: what that target does not take goes to `text` first; NULL: nothing */
    bool lint_strict;          /* GX_ERROR_UNSUPPORTED, before anything is written, when there is any */
} gx_convert_options;

GX_API void gx_convert_options_default(gx_convert_options *options);

/* Writes gemma_prefill.onnx, gemma_decode.onnx and the weight file that both read, and gemma_static.json, which says how to
 * drive them (docs/static-graphs.md). On failure nothing half-written stays. `error` may be NULL. */
GX_API gx_status gx_convert(const gx_convert_options *options, gx_error *error);

/* ---- Compare --------------------------------------------------------------------------------------------------- */

typedef struct gx_compare_options {
    size_t size;                /* sizeof(gx_compare_options), set by the default function */
    const char *output_dir;     /* what gx_convert wrote; required */
    const char *against;        /* the checkpoint (or Hub id) to judge by; NULL: the source, at the place noted beside the output */
    const gx_hub_options *hub;  /* for an id; NULL: all defaults */
    const char *reference_file; /* logits recorded elsewhere (.npz or .safetensors, docs/static-graphs.md) to judge by; NULL: our reference */
    unsigned precisions;        /* default 0: all that are there */
    double tolerance;           /* largest difference of an fp32 logit; default 1e-3 */
    double max_kl;              /* mean KL above which a quantised pair fails, nats; default 1 */
    unsigned prompts;           /* default 8; a recorded file has its own */
    unsigned steps;             /* decoding steps after each; default 32, fewer where the caches are short */
    const char *text_file;      /* UTF-8 text to take prompts from; NULL: one that is built in */
    const char *ort_library;    /* as in gx_verify_options */
    unsigned threads;           /* 0, the default: all processors */
    gx_format format;
    gx_progress_callback progress; /* NULL: none */
    void *progress_context;
    gx_text_callback text; /* NULL: none */
    void *text_context;
} gx_compare_options;

GX_API void gx_compare_options_default(gx_compare_options *options);

/* Drives each static pair with prompts of different lengths and compares the logits after the prompt and after every step, and
 * layer by layer the hidden states. Writes comparison_report.json and comparison_report.html beside it. A missed threshold is
 * GX_ERROR_MISMATCH, and its message names the layer where the difference starts, after everything was written. */
GX_API gx_status gx_compare(const gx_compare_options *options, gx_error *error);

/* ---- Verify ---------------------------------------------------------------------------------------------------- */

typedef struct gx_verify_options {
    size_t size;             /* sizeof(gx_verify_options), set by the default function */
    const char *output_dir;  /* what gx_build wrote; required */
    const char *against;     /* the checkpoint (or Hub id) to judge by; NULL: the source, at the place noted beside the output */
    const gx_hub_options *hub; /* for an id; NULL: all defaults */
    unsigned precisions;     /* default 0: all that are there */
    const char *text_file;   /* UTF-8 text to measure on; NULL: one that is built in */
    unsigned windows;        /* stretches of text, each measured from an empty cache; default 2 */
    unsigned window_ids;     /* ids in each; 0, the default: 512, or a quarter beyond the sliding window */
    unsigned greedy_ids;     /* ids generated from each of three prompts; default 32 */
    double max_kl;           /* mean KL above which a quantised file fails, nats; default 1 */
    const char *ort_library; /* libonnxruntime.so or its folder; NULL: GEMMA_ONNX_ORT_LIBRARY, then known places */
    unsigned threads;        /* 0, the default: all processors */
    gx_format format;
    gx_progress_callback progress; /* NULL: none */
    void *progress_context;
    gx_text_callback text; /* NULL: none */
    void *text_context;
} gx_verify_options;

GX_API void gx_verify_options_default(gx_verify_options *options);

/* Compares each file with the fp32 reference and with itself, and writes verify.json and verify.html beside it. A folder that
 * gx_convert wrote is handed to gx_compare. A missed
 * threshold is GX_ERROR_MISMATCH, after everything was measured and written. `error` may be NULL. */
GX_API gx_status gx_verify(const gx_verify_options *options, gx_error *error);

/* ---- Run ------------------------------------------------------------------------------------------------------- */

typedef struct gx_run_options {
    size_t size;             /* sizeof(gx_run_options), set by the default function */
    const char *output_dir;  /* a folder with onnx/model….onnx or a static pair, and tokenizer.json; required */
    const char *prompt;      /* UTF-8; required */
    const char *const *more_prompts; /* for EmbeddingGemma: further texts; NULL: none */
    size_t more_prompt_count;
    const char *task;        /* for EmbeddingGemma: the name of a prompt in config_sentence_transformers.json, put in front of each text; NULL: its default */
    const char *system;      /* with chat: what comes first; NULL: nothing */
    bool chat;               /* wrap the prompt in the model's turn format; for instruction-tuned models */
    unsigned precision;      /* one bit; 0, the default: q4 if it is there, else int8, q8, fp32, fp16, q4f16 */
    unsigned max_new_tokens; /* default 128 */
    double temperature;      /* 0, the default: always the likeliest token */
    unsigned top_k;          /* 0, the default: no limit */
    double top_p;            /* 1, the default: no limit */
    uint64_t seed;
    const char *ort_library; /* as in gx_verify_options */
    unsigned threads;        /* 0, the default: all processors */
    gx_text_callback text;   /* receives the new text as it comes, in whole characters; false ends it */
    void *text_context;
} gx_run_options;

typedef struct gx_run_result {
    size_t prompt_tokens, new_tokens;
    double load_seconds, prompt_seconds, decode_seconds; /* prompt: until the first new token */
    size_t cache_limit; /* the positions of a static pair's caches, when the text ended because they were full; else 0 */
} gx_run_result;

GX_API void gx_run_options_default(gx_run_options *options);

/* Continues the prompt until a stop token of the model or the limit. With EmbeddingGemma, `text` receives the embedding of each text instead, a JSON
 * list and a newline. `result` and `error` may be NULL. */
GX_API gx_status gx_run(const gx_run_options *options, gx_run_result *result, gx_error *error);

/* ---- Bench ----------------------------------------------------------------------------------------------------- */

typedef struct gx_bench_options {
    size_t size;             /* sizeof(gx_bench_options), set by the default function */
    const char *output_dir;  /* a folder with onnx/model….onnx, a static pair, or both; required */
    unsigned precisions;     /* 0, the default: all that are there */
    unsigned prompt_tokens;  /* of the prefill measurement; default 512 */
    unsigned contexts[4];    /* decoding is measured after so many tokens; default 32, 1024; 0: unused */
    unsigned decode_tokens;  /* per decoding measurement; default 32 */
    unsigned repeats;        /* counted, after one warm-up; default 5 */
    const char *results_file; /* the results as JSON go here, too; NULL, the default: nowhere */
    const char *ort_library; /* as in gx_verify_options */
    unsigned threads;        /* 0, the default: all processors */
    gx_format format;
    gx_progress_callback progress; /* NULL: none */
    void *progress_context;
    gx_text_callback text; /* NULL: none */
    void *text_context;
} gx_bench_options;

GX_API void gx_bench_options_default(gx_bench_options *options);

/* Load time, prefill and decode tokens/s (median and spread), peak memory, file by file. `error` may be NULL. */
GX_API gx_status gx_bench(const gx_bench_options *options, gx_error *error);

/* ---- Inspect --------------------------------------------------------------------------------------------------- */

typedef struct gx_inspect_options {
    size_t size;      /* sizeof(gx_inspect_options), set by the default function */
    const char *path; /* a checkpoint folder, a .gguf or .safetensors file, an .onnx file (ours or not), an output folder, a Hub id; required */
    const gx_hub_options *hub; /* for an id; NULL: all defaults */
    bool tensors;     /* list every tensor */
    gx_format format;
    gx_text_callback text;
    void *text_context;
} gx_inspect_options;

GX_API void gx_inspect_options_default(gx_inspect_options *options);

/* Reads headers only. `error` may be NULL. */
GX_API gx_status gx_inspect(const gx_inspect_options *options, gx_error *error);

/* ---- Models ---------------------------------------------------------------------------------------------------- */

typedef struct gx_models_options {
    size_t size;    /* sizeof(gx_models_options), set by the default function */
    const char *id; /* "google/gemma-2-2b": that one alone, in JSON with every tensor; NULL: all */
    gx_format format;
    gx_text_callback text;
    void *text_context;
} gx_models_options;

GX_API void gx_models_options_default(gx_models_options *options);

/* The published checkpoints that this version knows: family, parameters of the text decoder, configuration. `error` may be NULL. */
GX_API gx_status gx_models(const gx_models_options *options, gx_error *error);

#ifdef __cplusplus
}
#endif
#endif
