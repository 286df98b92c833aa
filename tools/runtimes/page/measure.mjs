// The page's half of chromium.mjs: window.load(job) loads one file of the served folder with Transformers.js, window.generate(job) continues prompts
// greedily. Everything comes from the server of this page; both answer with plain data and throw what the library throws.

// The heap of a WebAssembly program never shrinks, so its size at the end is its peak. The module that makes it keeps it to itself, so it is caught
// where it is made.
const heaps = [];
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, args) {
        const memory = Reflect.construct(target, args);
        heaps.push(memory);
        return memory;
    },
});

const library = await import('@huggingface/transformers'), { AutoModelForCausalLM, env } = library;
const { greedy } = await import('/page/greedy.mjs');
const runtime = '/modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify'; // the build that Transformers.js takes by itself
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = '/model/';
env.useBrowserCache = false; // half a gigabyte a file
env.useWasmCache = false;
env.backends.onnx.wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };

let model;

window.load = async ({ precision: dtype, device, threads }) => {
    env.backends.onnx.wasm.numThreads = threads;
    const started = performance.now();
    model = await AutoModelForCausalLM.from_pretrained('folder', { dtype, device });
    return { load_seconds: (performance.now() - started) / 1000 };
};

window.generate = async (job) => ({ ...(await greedy(library, model, job)), heap_bytes: heaps.reduce((sum, memory) => sum + memory.buffer.byteLength, 0) });
