// What the model folder holds and what this device can run of it.
import { look, readJson } from './store.js';

export const MODEL = new URL('model/', location.href.replace(/[?#].*/, '')).href;
export const RUNTIME = new URL('node_modules/onnxruntime-web/dist/', location.href.replace(/[?#].*/, '')).href;

const SUFFIXES = { q8: '_quantized', fp16: '_fp16', fp32: '', q4: '_q4', q4f16: '_q4f16', int8: '_int8' };
const FAMILIES = {
    gemma: 'Gemma', gemma2: 'Gemma 2', gemma3_text: 'Gemma 3', gemma3: 'Gemma 3', gemma3n: 'Gemma 3n', gemma3n_text: 'Gemma 3n',
    gemma4: 'Gemma 4', gemma4_text: 'Gemma 4', vaultgemma: 'VaultGemma',
};
const LARGEST_FILE = 2 ** 31 - 2 ** 20; // browsers fetch nothing larger into memory
const WASM_MEMORY = 2 ** 32;
// Bytes of WebAssembly's memory at its peak, from the bytes of the files and the weights of the embedding: what the forms take while a session
// opens (q8 and fp16 unfold to fp32), as measured with Gemma 3 270M and 1B.
const PEAK = {
    q8: (bytes) => 5 * bytes + 1.1e8,
    fp16: (bytes, embedding) => 3 * bytes + 4 * embedding,
    fp32: (bytes, embedding) => bytes + 4 * embedding + 1e8,
    q4: (bytes) => 2.6 * bytes + 5.4e8,
    q4f16: (bytes) => 2.6 * bytes + 6.6e8,
    int8: (bytes) => 2.6 * bytes + 5.4e8,
};
const NEEDS_F16 = new Set(['fp16', 'q4f16']);

// The runtime's files for a device: WebGPU needs the build that can wait for it, which is twice as large and slower without it.
export function runtimeOf(device) {
    const name = `${RUNTIME}ort-wasm-simd-threaded${device === 'webgpu' ? '.asyncify' : ''}`;
    return { mjs: `${name}.mjs`, wasm: `${name}.wasm` };
}

// The graphs that a precision consists of, as config.json lists those with weights: { "model_q4.onnx": 1 }, or two of Gemma 3n and 4.
function graphsOf(counts, dtype) {
    const ending = `${SUFFIXES[dtype]}.onnx`, bases = ['model', 'embed_tokens', 'decoder_model_merged'];
    return bases.map((base) => base + ending).filter((name) => name in counts);
}

async function filesOf(counts, dtype) {
    const names = graphsOf(counts, dtype).flatMap((graph) => [graph, ...Array.from({ length: counts[graph] }, (_, n) => `${graph}_data${n ? `_${n}` : ''}`)]);
    return Promise.all(names.map(async (name) => {
        const url = `${MODEL}onnx/${name}`, found = await look(url);
        return { name: `onnx/${name}`, url, ...(found ?? { bytes: null, away: found === undefined }) };
    }));
}

const sum = (files) => files.reduce((total, file) => total + file.bytes, 0);

// "270 million", from the files of a precision whose weights have a width.
function weightsOf(precisions) {
    const [dtype, width] = [['q8', 1], ['fp16', 2], ['fp32', 4]].find(([name]) => precisions[name]?.complete) ?? [];
    if (!dtype) return null;
    const count = precisions[dtype].bytes / width, step = 10 ** (Math.floor(Math.log10(count)) - 1);
    const rounded = Math.round(count / step) * step;
    return rounded < 1e9 ? `${rounded / 1e6}M` : `${rounded / 1e9}B`;
}

export async function readFolder() {
    const config = await readJson(`${MODEL}config.json`), tokenizer = await readJson(`${MODEL}tokenizer_config.json`);
    const settings = config['transformers.js_config'] ?? {}, counts = settings.use_external_data_format ?? {};
    const text = config.text_config ?? config, precisions = {};
    for (const dtype of Object.keys(SUFFIXES)) {
        const files = await filesOf(counts, dtype);
        if (files.length > 0) precisions[dtype] = { files, complete: files.every((file) => file.bytes), bytes: sum(files) };
    }
    const weights = weightsOf(precisions);
    return {
        name: [FAMILIES[config.model_type] ?? config.model_type, weights].filter(Boolean).join(' '),
        writes: config.use_bidirectional_attention !== true,
        chats: Boolean(tokenizer.chat_template),
        embedding: text.vocab_size * text.hidden_size,
        longest: text.max_position_embeddings ?? 8192,
        precisions,
        preferred: (device) => settings.device_config?.[device]?.dtype ?? settings.dtype,
    };
}

// { name: what a person calls it, can: dtypes' Set } of each device that is there.
export async function readDevices() {
    const all = Object.keys(SUFFIXES), devices = { wasm: { name: 'Processor (WebAssembly)', runs: new Set(all) } };
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    if (!adapter) return devices;
    const half = adapter.features.has('shader-f16'), software = adapter.info?.isFallbackAdapter || /swiftshader|llvmpipe/i.test(adapter.info?.architecture ?? '');
    const runs = new Set(all.filter((dtype) => half || !NEEDS_F16.has(dtype)));
    return { ...devices, webgpu: { name: `Graphics (WebGPU${software ? ', in software' : ''})`, runs } };
}

// Bytes of WebAssembly's memory at its peak; null on a GPU.
export function memoryOf(folder, device, dtype) {
    return device === 'wasm' ? PEAK[dtype](folder.precisions[dtype].bytes, folder.embedding) : null;
}

// Why a precision that is there is not offered on a device; null: it is.
export function obstacle(folder, devices, device, dtype) {
    const precision = folder.precisions[dtype];
    if (!precision.complete) return precision.files.some((file) => file.away) ? 'not on this device, and no network' : 'a file is missing';
    if (!devices[device].runs.has(dtype)) return 'this GPU has no 16-bit arithmetic';
    if (precision.files.some((file) => file.bytes > LARGEST_FILE)) return 'a file of more than 2 GB';
    if (memoryOf(folder, device, dtype) > WASM_MEMORY) return 'more than WebAssembly’s 4 GB of memory';
    return null;
}

// The precisions to offer on a device, the preferred one first.
export function offered(folder, devices, device) {
    const can = Object.keys(folder.precisions).filter((dtype) => !obstacle(folder, devices, device, dtype));
    return can.sort((a, b) => (b === folder.preferred(device)) - (a === folder.preferred(device)));
}
