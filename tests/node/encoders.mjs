// Transformers.js in Node on tiny encoders: loads exported folders from a local path, dtype by dtype, and compares the embeddings of a padded batch
// with what they must be (expected_encoders.py). A folder is named after its checkpoint in tests/golden/tiny.
//
//   node tests/node/encoders.mjs FOLDER …
//
// Closes with 'N passed, N failed', and exits with 1 on any failure.
import path from 'node:path';

const folders = process.argv.slice(2);
if (folders.length === 0) {
    console.error('usage: node tests/node/encoders.mjs FOLDER …');
    process.exit(2);
}
const { check, expectedBy, finish, idOf, transformers } = await import('./judge.mjs');
const { AutoModel, Tensor } = transformers;
const BOUND = 2e-4; // of the standard deviation, in fp32; elsewhere processors round differently, and a cosine says what matters
const LEAST_COSINE = 0.999;

const tensor = (rows) => new Tensor('int64', rows.flat().map(BigInt), [rows.length, rows[0].length]);
const dot = (a, b) => a.reduce((sum, x, n) => sum + x * b[n], 0);
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
const distance = (a, b) => Math.max(...a.map((x, n) => Math.abs(x - b[n])));

async function checkDtype(name, id, dtype, expected) {
    const model = await AutoModel.from_pretrained(id, { dtype, device: 'cpu' });
    const { sentence_embedding } = await model({ input_ids: tensor(expected.ids), attention_mask: tensor(expected.mask) });
    for (const [n, row] of sentence_embedding.tolist().entries()) {
        const wanted = expected.embeddings[dtype][n];
        const good = dtype === 'fp32' ? distance(row, wanted) <= BOUND * expected.std : cosine(row, wanted) >= LEAST_COSINE;
        check(`${name}, row ${n}`, good, `off by ${distance(row, wanted)}, cosine ${cosine(row, wanted)}`);
    }
    await model.dispose();
}

for (const given of folders) {
    const folder = path.resolve(given), id = idOf(folder), name = path.basename(folder);
    const expected = expectedBy('expected_encoders.py', folder, name);
    for (const dtype of Object.keys(expected.embeddings)) {
        try {
            await checkDtype(`${name} ${dtype}`, id, dtype, expected);
        } catch (error) {
            check(`${name} ${dtype}`, false, error.stack ?? error);
        }
    }
}
finish();
