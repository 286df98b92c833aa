// Transformers.js in Node on tiny checkpoints of families that it loads as two graphs: loads exported folders from a local path, dtype by
// dtype, and compares greedy ids with what they must be (expected_tiny.py). A folder is named after its checkpoint in tests/golden/tiny.
//
//   node tests/node/tiny.mjs FOLDER …
//
// Closes with 'N passed, N failed', and exits with 1 on any failure.
import { existsSync } from 'node:fs';
import path from 'node:path';

const folders = process.argv.slice(2);
if (folders.length === 0) {
    console.error('usage: node tests/node/tiny.mjs FOLDER …');
    process.exit(2);
}
const { check, expectedBy, finish, generate, idOf, parting, transformers } = await import('./judge.mjs');
const { AutoModelForCausalLM, Tensor, pipeline } = transformers;
const WITHOUT_END = { eos_token_id: null }; // the golden ids go on behind it

const tensor = (rows) => new Tensor('int64', rows.flat().map(BigInt), [rows.length, rows[0].length]);
const alone = (ids) => ({ input_ids: tensor([ids]), attention_mask: tensor([ids.map(() => 1)]) });

async function checkDtype(name, id, dtype, expected) {
    const wanted = expected.greedy[dtype], count = wanted.ids.length;
    const model = await AutoModelForCausalLM.from_pretrained(id, { dtype, device: 'cpu' });
    check(`${name} sessions`, Object.keys(model.sessions).sort().join() === 'decoder_model_merged,embed_tokens', Object.keys(model.sessions));
    const [ids] = await generate(model, alone(expected.prompt), count, WITHOUT_END);
    check(name, parting(ids, wanted) < 0, `gives ${ids}, expected ${wanted.ids}`);
    if (dtype === 'fp32') await checkBatch(name, model, expected, count);
    await model.dispose();
}

// Left-padded rows give what each gives alone.
async function checkBatch(name, model, { batch }, count) {
    const rows = await generate(model, { input_ids: tensor(batch.ids), attention_mask: tensor(batch.mask) }, count, WITHOUT_END);
    for (const [n, row] of rows.entries()) {
        const own = batch.ids[n].filter((_, at) => batch.mask[n][at]);
        const [ids] = await generate(model, alone(own), count, WITHOUT_END);
        check(`${name}, row ${n} of a batch`, row.join() === ids.join(), `gives ${row}, alone ${ids}`);
    }
}

// Text to text; with a progress callback it asks for the size of every file beforehand.
async function checkPipeline(name, id, text) {
    const write = await pipeline('text-generation', id, { dtype: 'q4', device: 'cpu', progress_callback: () => {} });
    const [{ generated_text }] = await write(text, { max_new_tokens: 8, do_sample: false });
    const inputs = await write.tokenizer(text);
    const [ids] = await generate(write.model, inputs, 8);
    const whole = write.tokenizer.decode([...inputs.input_ids.tolist()[0], ...ids], { skip_special_tokens: true });
    check(`${name} pipeline`, generated_text === whole, `${JSON.stringify(generated_text)}, expected ${JSON.stringify(whole)}`);
    await write.dispose();
}

for (const given of folders) {
    const folder = path.resolve(given), id = idOf(folder), name = path.basename(folder);
    const expected = expectedBy('expected_tiny.py', folder, name);
    for (const dtype of Object.keys(expected.greedy)) {
        try {
            await checkDtype(`${name} ${dtype}`, id, dtype, expected);
        } catch (error) {
            check(`${name} ${dtype}`, false, error.stack ?? error);
        }
    }
    if (existsSync(path.join(folder, 'tokenizer.json'))) await checkPipeline(name, id, 'the and then');
}
finish();
