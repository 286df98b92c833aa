/*
 * Drives a static pair with ONNX Runtime's C API: host DIR NEW_TOKENS ID [ID ...]
 *
 * DIR is what `gemma-onnx convert` wrote in the profile ort for a batch of 1. Prints the new ids, each the likeliest. Names,
 * shapes and rules are those of docs/static-graphs.md; past and present are one buffer in both graphs, bound once.
 *
 *   cc host.c -I$ORT/include -L$ORT/lib -lonnxruntime -Wl,-rpath,$ORT/lib -o host
 */
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OrtApi *ort;

static void check(OrtStatus *status)
{
    if (!status)
        return;
    fprintf(stderr, "host: %s\n", ort->GetErrorMessage(status));
    exit(1);
}

static void *zeroed(size_t nbytes)
{
    void *bytes = calloc(nbytes ? nbytes : 1, 1);
    if (!bytes)
        abort();
    return bytes;
}

/* ---- a graph ---- */

typedef struct graph {
    OrtSession *session;
    OrtIoBinding *binding;
    OrtAllocator *allocator;
    int64_t length; /* ids of a call */
    OrtValue *logits;
} graph;

typedef struct shape {
    int64_t dims[4];
    size_t rank, elements;
    ONNXTensorElementDataType type;
} shape;

static shape shape_of(OrtTypeInfo *info)
{
    const OrtTensorTypeAndShapeInfo *tensor;
    shape s = {.elements = 1};
    check(ort->CastTypeInfoToTensorInfo(info, &tensor));
    check(ort->GetDimensionsCount(tensor, &s.rank));
    check(ort->GetDimensions(tensor, s.dims, s.rank));
    check(ort->GetTensorElementType(tensor, &s.type));
    for (size_t i = 0; i < s.rank; i++)
        s.elements *= (size_t)s.dims[i];
    ort->ReleaseTypeInfo(info);
    return s;
}

static shape input_shape(const graph *g, size_t index)
{
    OrtTypeInfo *info;
    check(ort->SessionGetInputTypeInfo(g->session, index, &info));
    return shape_of(info);
}

static OrtValue *tensor_over(void *bytes, size_t nbytes, const shape *s)
{
    OrtMemoryInfo *memory;
    OrtValue *value;
    check(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
    check(ort->CreateTensorWithDataAsOrtValue(memory, bytes, nbytes, s->dims, s->rank, s->type, &value));
    ort->ReleaseMemoryInfo(memory);
    return value;
}

static size_t type_nbytes(ONNXTensorElementDataType type)
{
    switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return 2;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return 8;
    default: return 4;
    }
}

/* ---- what both graphs share ---- */

#define MAX_CACHES 512

typedef struct host {
    OrtEnv *env;
    graph prefill, decode;
    char *names[MAX_CACHES]; /* "past_key_values.0.key" */
    OrtValue *caches[MAX_CACHES];
    size_t cache_count;
    int64_t capacity; /* positions of the longest cache */
    int bounded;      /* some cache is shorter: its operator moves the rows, and padding would push real ones out */
    int64_t position, *ids, last_index;
    int32_t seqlens_k, total;
    float *scores; /* [vocabulary] */
    size_t vocabulary;
} host;

static void open_graph(host *h, graph *g, const char *folder, const char *name)
{
    char path[4096];
    OrtSessionOptions *options;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check(ort->CreateSessionOptions(&options));
    check(ort->CreateSession(h->env, path, options, &g->session));
    ort->ReleaseSessionOptions(options);
    check(ort->CreateIoBinding(g->session, &g->binding));
    check(ort->GetAllocatorWithDefaultOptions(&g->allocator));
    g->length = input_shape(g, 0).dims[1]; /* input_ids stands first */
}

static void make_caches(host *h)
{
    size_t inputs;
    check(ort->SessionGetInputCount(h->decode.session, &inputs));
    for (size_t i = 0; i < inputs; i++) {
        char *name;
        check(ort->SessionGetInputName(h->decode.session, i, h->decode.allocator, &name));
        if (strncmp(name, "past_key_values.", 16) != 0 || h->cache_count == MAX_CACHES)
            continue;
        const shape s = input_shape(&h->decode, i);
        const size_t nbytes = s.elements * type_nbytes(s.type);
        h->names[h->cache_count] = name;
        h->caches[h->cache_count++] = tensor_over(zeroed(nbytes), nbytes, &s);
        h->bounded = h->bounded || (h->capacity && s.dims[2] != h->capacity);
        h->capacity = s.dims[2] > h->capacity ? s.dims[2] : h->capacity;
    }
}

/* Past and present are the same memory: the operator appends in place, nothing is copied between calls. */
static void bind_graph(host *h, graph *g)
{
    const shape ids = {{1, g->length}, 2, (size_t)g->length, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};
    const shape index = {{1}, 1, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64}, length = {{1}, 1, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};
    const shape logits = {{1, 1, (int64_t)h->vocabulary}, 3, h->vocabulary, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
    char present[64];
    check(ort->BindInput(g->binding, "input_ids", tensor_over(h->ids, ids.elements * 8, &ids)));
    check(ort->BindInput(g->binding, "seqlens_k", tensor_over(&h->seqlens_k, 4, &length)));
    check(ort->BindInput(g->binding, "total_sequence_length", tensor_over(&h->total, 4, &length)));
    if (g->length > 1)
        check(ort->BindInput(g->binding, "last_index", tensor_over(&h->last_index, 8, &index)));
    for (size_t i = 0; i < h->cache_count; i++) {
        snprintf(present, sizeof present, "present.%s", h->names[i] + strlen("past_key_values."));
        check(ort->BindInput(g->binding, h->names[i], h->caches[i]));
        check(ort->BindOutput(g->binding, present, h->caches[i]));
    }
    g->logits = tensor_over(h->scores, h->vocabulary * 4, &logits);
    check(ort->BindOutput(g->binding, "logits", g->logits));
}

static void open_pair(host *h, const char *folder)
{
    OrtTypeInfo *info;
    open_graph(h, &h->prefill, folder, "gemma_prefill.onnx");
    open_graph(h, &h->decode, folder, "gemma_decode.onnx");
    check(ort->SessionGetOutputTypeInfo(h->decode.session, 0, &info)); /* logits stands first */
    h->vocabulary = shape_of(info).elements;
    h->scores = zeroed(h->vocabulary * 4);
    h->ids = zeroed((size_t)h->prefill.length * 8);
    make_caches(h);
    bind_graph(h, &h->prefill);
    bind_graph(h, &h->decode);
}

/* ---- ids in, scores out ---- */

/* `taken` ids of a call that may be longer: the rest is padding, which later calls overwrite before they could see it. */
static void call(host *h, const graph *g, const int64_t *ids, int64_t taken)
{
    const int64_t end = h->position + g->length;
    memset(h->ids, 0, (size_t)g->length * 8);
    memcpy(h->ids, ids, (size_t)taken * 8);
    h->last_index = taken - 1;
    h->seqlens_k = (int32_t)(h->position == 0 ? taken - 1 : end - 1);
    h->total = (int32_t)end;
    check(ort->RunWithBinding(g->session, NULL, g->binding));
    h->position += taken;
}

static void feed(host *h, const int64_t *ids, int64_t count)
{
    const graph *prefill = &h->prefill;
    while (count > 0) {
        const int fits = h->position + prefill->length <= h->capacity && count > 1 && (!h->bounded || count >= prefill->length);
        const int64_t taken = !fits ? 1 : count < prefill->length ? count : prefill->length;
        if (h->position + taken > h->capacity) {
            fprintf(stderr, "host: the caches are full\n");
            exit(1);
        }
        call(h, fits ? prefill : &h->decode, ids, taken);
        ids += taken;
        count -= taken;
    }
}

static int64_t likeliest(const host *h)
{
    size_t best = 0;
    for (size_t i = 1; i < h->vocabulary; i++)
        if (h->scores[i] > h->scores[best])
            best = i;
    return (int64_t)best;
}

int main(int argc, char **argv)
{
    host h = {0};
    if (argc < 4) {
        fprintf(stderr, "usage: host DIR NEW_TOKENS ID [ID ...]\n");
        return 2;
    }
    ort = OrtGetApiBase()->GetApi(20);
    if (!ort) {
        fprintf(stderr, "host: ONNX Runtime is too old\n");
        return 1;
    }
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "host", &h.env));
    open_pair(&h, argv[1]);
    const int64_t prompt = argc - 3;
    int64_t *ids = zeroed((size_t)prompt * 8);
    for (int64_t i = 0; i < prompt; i++)
        ids[i] = strtoll(argv[3 + i], NULL, 10);
    feed(&h, ids, prompt);
    for (long n = strtol(argv[2], NULL, 10); n > 0; n--) {
        const int64_t id = likeliest(&h);
        printf("%lld ", (long long)id);
        fflush(stdout);
        if (n > 1)
            feed(&h, &id, 1);
    }
    putchar('\n');
    return 0;
}
