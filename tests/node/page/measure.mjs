// The page's half of browser.mjs: window.load(job) loads one file of the served folder with Transformers.js, window.generate(job)
// continues a prompt greedily. Everything comes from the server of this page; both answer with plain data and throw what the
// library throws.

// The heap of a WebAssembly program never shrinks, so its size at the end is its peak. The module that makes it keeps it to
// itself, so it is caught where it is made.
const heaps = [];
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, args) {
        const memory = Reflect.construct(target, args);
        heaps.push(memory);
        return memory;
    },
});

const { AutoModelForCausalLM, AutoTokenizer, BaseStreamer, env } = await import('@huggingface/transformers');
const runtime = '/modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify';
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = '/model/';
env.useBrowserCache = false; // half a gigabyte a file
env.useWasmCache = false;
env.backends.onnx.wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
env.backends.onnx.wasm.numThreads = 1;

class Clock extends BaseStreamer {
    times = [];
    put() {
        this.times.push(performance.now()); // first the prompt, then a token a call
    }
    end() {}
}

let tokenizer, model;

window.load = async ({ dtype, device }) => {
    tokenizer = await AutoTokenizer.from_pretrained('folder');
    const started = performance.now();
    model = await AutoModelForCausalLM.from_pretrained('folder', { dtype, device });
    return { load: (performance.now() - started) / 1000 };
};

window.generate = async ({ prompt, tokens }) => {
    const inputs = tokenizer(prompt), clock = new Clock();
    const output = await model.generate({ ...inputs, max_new_tokens: tokens, do_sample: false, streamer: clock });
    const [asked, first] = clock.times, last = clock.times.at(-1);
    const ids = output.tolist()[0].slice(inputs.input_ids.dims[1]).map(Number);
    return {
        ids,
        text: tokenizer.decode(ids),
        first: (first - asked) / 1000,
        rate: (ids.length - 1) / ((last - first) / 1000),
        best: Math.min(...clock.times.slice(2).map((time, n) => time - clock.times[n + 1])),
        heap: heaps.reduce((sum, memory) => sum + memory.buffer.byteLength, 0),
    };
};
