// What the tests with Transformers.js in Node share: the library, set to local files alone, and counting what passed.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
let passed = 0, failed = 0;

export function check(name, good, message) {
    if (good) passed++;
    else {
        failed++;
        console.log(`FAILED ${name}: ${message}`);
    }
}

// The last line, and the end.
export function finish() {
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed ? 1 : 0);
}

// A missing data file rejects outside of every call that could be awaited.
process.on('unhandledRejection', (reason) => {
    check('unhandled rejection', false, reason);
    finish();
});

export const transformers = await import('@huggingface/transformers').catch((error) => {
    console.error(`Transformers.js does not load (${error.message}); run scripts/node-env`);
    process.exit(2);
});
transformers.env.allowRemoteModels = false;

// The id under which the library finds a folder.
export function idOf(folder) {
    transformers.env.localModelPath = path.dirname(folder) + path.sep;
    return path.basename(folder);
}

// What a Python script beside this file expects.
export function expectedBy(script, ...words) {
    const python = process.env.PYTHON ?? path.join(here, '../../.deps/python/bin/python');
    return JSON.parse(execFileSync(python, [path.join(here, script), ...words.map(String)], { maxBuffer: 1 << 24 }).toString());
}

export const plain = (tensor) => tensor.tolist().map((row) => row.map(Number));

// Where the ids part from the expected ones, or -1. A step at which the second choice came as near as rounding ends the comparison.
export function parting(ids, wanted) {
    for (const [n, id] of wanted.ids.entries()) {
        if (ids[n] !== id) return ids[n] === wanted.second[n] ? -1 : n;
    }
    return -1;
}

// The new ids of every row.
export async function generate(model, inputs, count, options = {}) {
    const length = inputs.input_ids.dims[1];
    const rows = plain(await model.generate({ ...inputs, max_new_tokens: count, do_sample: false, ...options }));
    return rows.map((row) => row.slice(length));
}
