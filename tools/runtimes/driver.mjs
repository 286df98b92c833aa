// One measurement in Node, as driver.py does it in Python: node driver.mjs FOLDER JOB.json, FOLDER with the package in its node_modules. Greedy text
// on a decoder whose caches grow, in onnxruntime-node, in onnxruntime-web (wasm), or in Transformers.js. The answer is a line of JSON on stdout.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { greedy as greedyText } from './page/greedy.mjs';

const [folder, file] = process.argv.slice(2);
const job = JSON.parse(readFileSync(file, 'utf8'));
const name = path.basename(job.path), described = job.descriptions[name];

const required = createRequire(path.join(path.resolve(folder), 'package.json'));
let stage = 'load';
// What the runtime prints besides.
const talk = [];
for (const level of ['warn', 'error']) console[level] = (...words) => talk.push(words.join(' '));

async function runtime() {
    if (job.engine === 'node') return required('onnxruntime-node');
    const ort = await import(pathToFileURL(path.join(path.resolve(folder), 'node_modules/onnxruntime-web/dist/ort.node.min.mjs')));
    ort.env.wasm.numThreads = 1; // threads of its own want a page that is isolated
    return ort;
}

async function open(ort) {
    const options = { executionProviders: [job.engine === 'node' ? 'cpu' : 'wasm'], intraOpNumThreads: job.threads };
    if (job.engine === 'node') return ort.InferenceSession.create(job.path, options);
    const externalData = described.files.map((data) => ({ path: data, data: readFileSync(path.join(path.dirname(job.path), data)) }));
    return ort.InferenceSession.create(readFileSync(job.path), { ...options, externalData });
}

const int64 = (ort, values) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

function emptyCache(ort) {
    const cache = {};
    for (const { name, shape, kind } of described.inputs) {
        if (!name.startsWith('past_key_values.')) continue;
        const dims = shape.map((dim) => (typeof dim === 'number' ? dim : dim === 'batch_size' ? 1 : 0));
        cache[name] = kind === 'tensor(float16)' ? new ort.Tensor('float16', new Uint16Array(0), dims) : new ort.Tensor('float32', new Float32Array(0), dims);
    }
    return cache;
}

function best(logits) {
    let at = 0;
    for (let i = 1; i < job.vocabulary; i++) if (logits[i] > logits[at]) at = i;
    return at;
}

async function greedy(ort, session, prompt, seconds) {
    const ids = [];
    let cache = emptyCache(ort), step = prompt, length = 0;
    for (let n = 0; n < job.tokens; n++) {
        length += step.length;
        const positions = step.map((_, i) => length - step.length + i);
        const feeds = { input_ids: int64(ort, step), attention_mask: int64(ort, new Array(length).fill(1)), position_ids: int64(ort, positions), ...cache };
        const started = performance.now(), results = await session.run(feeds);
        if (n > 0) seconds.push((performance.now() - started) / 1000);
        ids.push(best(results.logits.data));
        cache = Object.fromEntries(Object.keys(cache).map((name) => [name, results[name.replace('past_key_values', 'present')]]));
        step = ids.slice(-1);
    }
    return ids;
}

// By the library that people use, in its own way.
async function transformers() {
    const library = required('@huggingface/transformers'), { AutoModelForCausalLM, env } = library, model = path.dirname(path.dirname(job.path)), started = performance.now();
    env.allowRemoteModels = false;
    env.localModelPath = path.dirname(model) + path.sep;
    const opened = await AutoModelForCausalLM.from_pretrained(path.basename(model), { dtype: job.precision, device: 'cpu', session_options: { intraOpNumThreads: job.threads } });
    const load = (performance.now() - started) / 1000;
    stage = 'run';
    return { load_seconds: load, ...(await greedyText(library, opened, job)), warnings: talk.join('\n').slice(0, 4000) };
}

async function answer() {
    try {
        if (job.engine === 'transformers') return await transformers();
        const ort = await runtime(), started = performance.now(), session = await open(ort);
        const load = (performance.now() - started) / 1000, seconds = [], ids = [];
        stage = 'run';
        for (const prompt of job.prompts) ids.push(await greedy(ort, session, prompt, seconds));
        return { load_seconds: load, ids, seconds, warnings: talk.join('\n').slice(0, 4000) };
    } catch (error) {
        return { error: String(error?.message ?? error).slice(0, 1000), stage };
    }
}

const found = await answer();
process.stdout.write(`\n${JSON.stringify(found)}\n`, () => process.exit(0));
