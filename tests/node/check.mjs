// Transformers.js in Node as an outside judge: loads exported folders of the Gemma 3 270M from a local path with pipeline(), dtype by dtype, and
// compares greedy text with what it must be (expected.py): alone, in a batch of unequal prompts, in two calls on handed-back caches, and as a chat
// where the folder has a template.
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
const { AutoConfig, ones, pipeline } = transformers;
const GREEDY = { max_new_tokens: TOKENS, do_sample: false };

async function checkText(name, write, prompt, row) {
    const [{ generated_text }] = await write(prompt, GREEDY), text = write.tokenizer.decode(row, { skip_special_tokens: true });
    check(`${name} pipeline`, generated_text === prompt + text, `${JSON.stringify(generated_text)}, expected ${JSON.stringify(prompt + text)}`);
}

// What an earlier call left in its caches need not be read again.
async function checkHandedBack(name, { model, tokenizer }, prompt, row) {
    const inputs = await tokenizer(prompt), cut = 8;
    const { sequences, past_key_values } = await model.generate({ ...inputs, max_new_tokens: cut, do_sample: false, return_dict_in_generate: true });
    const more = { input_ids: sequences, attention_mask: ones(sequences.dims), past_key_values };
    const rest = await generate(model, more, TOKENS - cut), rows = plain(sequences)[0].slice(inputs.input_ids.dims[1]).concat(rest[0]);
    check(`${name} past_key_values handed back`, rows.join() === row.join(), `${rows} | in one call ${row}`);
}

// Messages in, a message out: the text of the template, which begins with <bos>, and its continuation.
async function checkChat(name, write) {
    const messages = [{ role: 'user', content: 'Name a colour.' }], text = '<start_of_turn>user\nName a colour.<end_of_turn>\n<start_of_turn>model\n';
    const [{ generated_text }] = await write(messages, GREEDY), said = generated_text.at(-1);
    const [ids] = await generate(write.model, await write.tokenizer(text), TOKENS), wanted = write.tokenizer.decode(ids, { skip_special_tokens: true });
    check(`${name} chat`, said.role === 'assistant' && said.content === wanted, `${JSON.stringify(said)}, expected ${JSON.stringify(wanted)}`);
}

// Who names no dtype gets what config.json says of processors.
async function checkDefault(name, id, dtypes) {
    const { 'transformers.js_config': settings } = await AutoConfig.from_pretrained(id), dtype = settings.device_config?.cpu?.dtype ?? settings.dtype;
    const [unnamed, named] = [await pipeline('text-generation', id, { device: 'cpu' }), await pipeline('text-generation', id, { device: 'cpu', dtype })];
    const [[one], [other]] = [await unnamed('Once', GREEDY), await named('Once', GREEDY)];
    check(`${name}: the default is ${dtype}`, dtypes.includes(dtype) && one.generated_text === other.generated_text, `${one.generated_text} | ${other.generated_text}`);
    await Promise.all([unnamed.dispose(), named.dispose()]);
}

async function checkDtype(name, id, dtype, expected) {
    const wanted = expected.greedy[dtype], started = performance.now();
    const write = await pipeline('text-generation', id, { dtype, device: 'cpu' }), { model, tokenizer } = write;
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
    await checkText(name, write, expected.prompts[0], single[0]);
    await checkHandedBack(name, write, expected.prompts[0], single[0]);
    if (tokenizer.chat_template) await checkChat(name, write);
    await write.dispose();
}

for (const given of folders) {
    const folder = path.resolve(given), id = idOf(folder);
    if (!existsSync(path.join(folder, 'config.json'))) {
        check(given, false, 'no config.json there');
        continue;
    }
    const expected = expectedBy('expected.py', folder, TOKENS);
    const dtypes = Object.keys(expected.greedy);
    check(given, dtypes.length > 0, 'no model in its onnx folder');
    for (const dtype of dtypes) {
        try {
            await checkDtype(`${given} ${dtype}`, id, dtype, expected);
        } catch (error) {
            check(`${given} ${dtype}`, false, error.stack ?? error);
        }
    }
    await checkDefault(given, id, dtypes);
}
finish();
