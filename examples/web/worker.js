// Holds the model. Told { load }, { write } or { stop }; tells what happens. A page loads another model by another worker: WebAssembly's
// memory never shrinks.
import { FileProblem, look, read } from './store.js';

// The heap is caught where it is made: nobody tells its size.
const heaps = [];
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, words) {
        const memory = Reflect.construct(target, words);
        heaps.push(memory);
        return memory;
    },
});

const tell = (type, data = {}) => postMessage({ type, ...data });
function fail(error) {
    const message = String(error?.message ?? error), [, absent] = /not found locally at ".*\/(.*)"/.exec(message) ?? []; // the library's words
    tell('failed', { kind: absent ? 'missing' : error?.kind, file: absent ?? error?.file, message, stack: error?.stack });
}
// A missing file is rejected outside of every call that could be awaited.
addEventListener('unhandledrejection', (event) => {
    event.preventDefault();
    fail(event.reason);
});

const { AutoModelForCausalLM, AutoTokenizer, BaseStreamer, InterruptableStoppingCriteria, Tensor, env } =
    await import('./node_modules/@huggingface/transformers/dist/transformers.min.js');

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = new URL('./', location).pathname;
env.useBrowserCache = false;
env.useWasmCache = false;
// What the library asks for, through the store. Only whether it is there, its size and its bytes are ever asked of it.
env.fetch = async (path) => {
    const url = new URL(path, location).href, found = await look(url);
    return {
        status: found ? 200 : 404,
        headers: new Headers(found ? { 'content-length': found.bytes } : {}),
        arrayBuffer: async () => (await read(url, (loaded) => tell('progress', { url, loaded }))).buffer,
    };
};

// A wasm session never lets go of the thread, and the word to stop would wait for the last token.
const { port1, port2 } = new MessageChannel();
const breath = () => new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(0);
});
function breathing(session) {
    const run = session.run.bind(session);
    session.run = async (...words) => {
        await breath();
        return run(...words);
    };
}

// The library loads the runtime by itself and tells nothing. So it is brought first, where the service worker keeps it.
async function bring(url) {
    const response = await fetch(url).catch(() => null);
    if (!response?.ok) throw new FileProblem('network', url);
    let loaded = 0;
    for (const reader = response.body.getReader(); ;) {
        const { done, value } = await reader.read();
        if (done) return;
        loaded += value.length;
        tell('progress', { url, loaded });
    }
}

let tokenizer, model, written; // written: { ids, covered, past }: the last text and the caches of its first ids
const stopper = new InterruptableStoppingCriteria();

async function load({ dtype, device, threads, runtime }) {
    env.backends.onnx.wasm.wasmPaths = { mjs: runtime.mjs, wasm: runtime.wasm };
    env.backends.onnx.wasm.numThreads = threads;
    await bring(runtime.wasm);
    tokenizer = await AutoTokenizer.from_pretrained('model');
    model = await AutoModelForCausalLM.from_pretrained('model', { dtype, device });
    Object.values(model.sessions).forEach(breathing);
    tell('ready', { memory: memory() });
}

const memory = () => heaps.reduce((total, heap) => total + heap.buffer.byteLength, 0);
const plain = (tensor) => tensor.tolist()[0].map(Number);

function idsOf({ messages, text, goOn }) {
    if (goOn) return written.ids;
    return plain(messages ? tokenizer.apply_chat_template(messages, { add_generation_prompt: true, return_dict: true }).input_ids : tokenizer(text).input_ids);
}

// The caches of the last text, where the new one begins with it.
function pastOf(ids) {
    if (written && written.covered < ids.length && written.ids.slice(0, written.covered).every((id, n) => id === ids[n])) return written.past;
    written?.past.dispose();
    return undefined;
}

class Telling extends BaseStreamer {
    ids = [];
    times = [];
    put([ids]) {
        this.times.push(performance.now()); // first the prompt, then a token a call
        if (this.times.length === 1) return;
        this.ids.push(Number(ids[0]));
        const text = tokenizer.decode(this.ids, { skip_special_tokens: true });
        tell('token', { id: this.ids.at(-1), text: text.replace(/\uFFFD+$/, ''), rate: this.rate() }); // half a character waits
    }
    end() {}
    rate() {
        const [, first] = this.times, last = this.times.at(-1);
        return this.ids.length > 1 ? (this.ids.length - 1) / ((last - first) / 1000) : null;
    }
}

async function write({ varied, count, longest, ...request }) {
    const started = performance.now(), ids = idsOf(request), room = longest - ids.length, telling = new Telling();
    if (room < 1) throw Object.assign(new Error(`${ids.length} tokens`), { kind: 'long' });
    const past = pastOf(ids), fed = ids.length - (past?.get_seq_length() ?? 0), allowed = Math.min(count, room), tensor = (values) => new Tensor('int64', values.map(BigInt), [1, values.length]);
    written = undefined; // the caches grow in place
    stopper.reset();
    const { sequences, past_key_values } = await model.generate({
        input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)), ...(past && { past_key_values: past }), return_dict_in_generate: true,
        max_new_tokens: allowed, streamer: telling, stopping_criteria: stopper, ...(varied ? { do_sample: true, temperature: 1, top_k: 64 } : { do_sample: false }),
    });
    written = { ids: plain(sequences), covered: sequences.dims[1] - 1, past: past_key_values };
    const reason = stopper.interrupted ? 'stopped' : telling.ids.length < allowed ? 'end' : 'length';
    tell('written', { reason, fed, count: telling.ids.length, rate: telling.rate(), first: (telling.times[1] - started) / 1000, memory: memory() });
}

const orders = { load, write, stop: () => stopper.interrupt() };
addEventListener('message', ({ data: { order, ...words } }) => Promise.resolve(orders[order](words)).catch(fail));
tell('begun');
