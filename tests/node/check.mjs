// Transformers.js in Node as an outside judge: loads exported folders of the Gemma 3 270M from a local path, dtype by dtype,
// and compares greedy text with what it must be (expected.py).
//
//   node tests/node/check.mjs FOLDER …
//
// Prints a line per dtype with the tokens per second, closes with 'N passed, N failed', and exits with 1 on any failure.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const TOKENS = 24;
const here = path.dirname(fileURLToPath(import.meta.url));
const folders = process.argv.slice(2);
let passed = 0, failed = 0;

if (folders.length === 0) {
    console.error('usage: node tests/node/check.mjs FOLDER …');
    process.exit(2);
}
// A missing data file rejects outside of every call that could be awaited.
process.on('unhandledRejection', (reason) => {
    console.error(`FAILED: unhandled rejection: ${reason}`);
    console.log(`${passed} passed, ${failed + 1} failed`);
    process.exit(1);
});

const { AutoModelForCausalLM, AutoTokenizer, env } = await import('@huggingface/transformers').catch((error) => {
    console.error(`Transformers.js does not load (${error.message}); run scripts/node-env`);
    process.exit(2);
});
env.allowRemoteModels = false;

function check(name, good, message) {
    if (good) passed++;
    else {
        failed++;
        console.log(`FAILED ${name}: ${message}`);
    }
}

function expectedOf(folder) {
    const python = process.env.PYTHON ?? path.join(here, '../../.deps/python/bin/python');
    return JSON.parse(execFileSync(python, [path.join(here, 'expected.py'), folder, String(TOKENS)], { maxBuffer: 1 << 24 }).toString());
}

const plain = (tensor) => tensor.tolist().map((row) => row.map(Number));

// Where the ids part from the expected ones, or -1. A step at which the second choice came as near as rounding ends the comparison.
function parting(ids, wanted) {
    for (const [n, id] of wanted.ids.entries()) {
        if (ids[n] !== id) return ids[n] === wanted.second[n] ? -1 : n;
    }
    return -1;
}

async function generate(model, inputs) {
    const length = inputs.input_ids.dims[1];
    const rows = plain(await model.generate({ ...inputs, max_new_tokens: TOKENS, do_sample: false }));
    return rows.map((row) => row.slice(length));
}

async function checkDtype(name, id, dtype, tokenizer, expected) {
    const wanted = expected.greedy[dtype], started = performance.now();
    const model = await AutoModelForCausalLM.from_pretrained(id, { dtype, device: 'cpu' });
    const loaded = performance.now();
    const single = [];
    for (const [n, prompt] of expected.prompts.entries()) {
        const inputs = await tokenizer(prompt);
        check(`${name} ids ${n}`, plain(inputs.input_ids)[0].join() === expected.prompt_ids[n].join(), `${plain(inputs.input_ids)[0]}`);
        single.push((await generate(model, inputs))[0]);
    }
    const seconds = (performance.now() - loaded) / 1000;
    const batch = await generate(model, await tokenizer(expected.prompts, { padding: true }));
    for (const [kind, rows] of [['alone', single], ['in a batch', batch]]) {
        for (const [n, row] of rows.entries()) {
            const at = parting(row, wanted[n]);
            check(`${name} prompt ${n} ${kind}`, at < 0, `parts at token ${at}: ${tokenizer.decode(row)} | expected ${tokenizer.decode(wanted[n].ids)}`);
        }
    }
    console.log(`${name}: loaded in ${((loaded - started) / 1000).toFixed(1)} s, ${((single.length * TOKENS) / seconds).toFixed(1)} tokens/s: ` +
                JSON.stringify(tokenizer.decode(single[0])));
    await model.dispose();
}

for (const given of folders) {
    const folder = path.resolve(given), id = path.basename(folder);
    if (!existsSync(path.join(folder, 'config.json'))) {
        check(given, false, 'no config.json there');
        continue;
    }
    env.localModelPath = path.dirname(folder) + path.sep;
    const expected = expectedOf(folder);
    const tokenizer = await AutoTokenizer.from_pretrained(id);
    const dtypes = Object.keys(expected.greedy);
    check(given, dtypes.length > 0, 'no model in its onnx folder');
    for (const dtype of dtypes) {
        try {
            await checkDtype(`${given} ${dtype}`, id, dtype, tokenizer, expected);
        } catch (error) {
            check(`${given} ${dtype}`, false, error.stack ?? error);
        }
    }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
