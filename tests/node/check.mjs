// Transformers.js in Node as an outside judge: loads exported folders of the Gemma 3 270M from a local path, dtype by dtype,
// and compares greedy text with what it must be (expected.py).
//
//   node tests/node/check.mjs FOLDER …
//
// Prints a line per dtype with the tokens per second, closes with 'N passed, N failed', and exits with 1 on any failure.
import { existsSync } from 'node:fs';
import path from 'node:path';

const TOKENS = 24;
const folders = process.argv.slice(2);
if (folders.length === 0) {
    console.error('usage: node tests/node/check.mjs FOLDER …');
    process.exit(2);
}
const { check, expectedBy, finish, generate, idOf, parting, plain, transformers } = await import('./judge.mjs');
const { AutoModelForCausalLM, AutoTokenizer } = transformers;

async function checkDtype(name, id, dtype, tokenizer, expected) {
    const wanted = expected.greedy[dtype], started = performance.now();
    const model = await AutoModelForCausalLM.from_pretrained(id, { dtype, device: 'cpu' });
    const loaded = performance.now();
    const single = [];
    for (const [n, prompt] of expected.prompts.entries()) {
        const inputs = await tokenizer(prompt);
        check(`${name} ids ${n}`, plain(inputs.input_ids)[0].join() === expected.prompt_ids[n].join(), `${plain(inputs.input_ids)[0]}`);
        single.push((await generate(model, inputs, TOKENS))[0]);
    }
    const seconds = (performance.now() - loaded) / 1000;
    const batch = await generate(model, await tokenizer(expected.prompts, { padding: true }), TOKENS);
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
    const folder = path.resolve(given), id = idOf(folder);
    if (!existsSync(path.join(folder, 'config.json'))) {
        check(given, false, 'no config.json there');
        continue;
    }
    const expected = expectedBy('expected.py', folder, TOKENS);
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
finish();
