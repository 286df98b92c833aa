// The files of a folder in the chat page (Chromium, WebAssembly) and in Transformers.js in Node, side by side: bytes, seconds to load, milliseconds
// a token, memory.
//
//   node bench/web.mjs FOLDER [--peer NAME=FOLDER …] [--files NAME,NAME …] [--rounds 3] [--threads 1,2] [--tokens 24] [--json FILE]
//
// --peer: a file of another tool, in a folder that bench/web_peer.py made. --files: only these (fp32, fp16, q8, int8, q4, names of peers). --threads: of
// the page; 0: Node alone. Needs scripts/node-env and Chromium (CHROMIUM names it). Rounds alternate between the files, each in a browser or process of
// its own; a token's time is the median of its round, and ratios are between files of one round.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { browse, prompts, served, Visit, NO_GPU } from '../tests/node/web/harness.mjs';
import { peakOf } from '../tests/node/web/peak.mjs';
import { Reference } from '../tests/node/web/reference.mjs';

const { values: given, positionals: [folder] } = parseArgs({
    allowPositionals: true,
    options: {
        peer: { type: 'string', multiple: true, default: [] }, files: { type: 'string' }, rounds: { type: 'string', default: '3' },
        threads: { type: 'string', default: '1,2' }, tokens: { type: 'string', default: '24' }, json: { type: 'string' }, node: { type: 'string' },
    },
});
const tokens = Number(given.tokens), PROMPT = prompts.capital;
const SUFFIXES = { fp32: '', fp16: '_fp16', q8: '_quantized', int8: '_int8', q4: '_q4' };
const SLOW = new Set(['int8', 'q4']); // a second a token in a page
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const gaps = (times) => times.slice(1).map((time, n) => time - times[n]);

/* ---- one measurement ---- */

// In a process of its own: { load, token, memory }.
async function measureInNode(dtype) {
    const reference = await Reference.of(folder), began = performance.now(), model = await reference.open(dtype), load = (performance.now() - began) / 1000;
    const times = [], streamer = { put: () => times.push(performance.now()), end() {} };
    const inputs = reference.tokenizer(PROMPT);
    await model.generate({ ...inputs, max_new_tokens: tokens, do_sample: false, streamer });
    console.log(JSON.stringify({ load, token: median(gaps(times.slice(1))), memory: process.resourceUsage().maxRSS * 1024 }));
}

function inNode({ folder: from, dtype }) {
    const self = fileURLToPath(import.meta.url);
    return JSON.parse(execFileSync(process.execPath, [self, from, '--node', dtype, '--tokens', given.tokens], { stdio: ['ignore', 'pipe', 'ignore'] }));
}

async function inPage({ folder: from, dtype }, threads) {
    const server = await served(from), { context, close } = await browse(NO_GPU);
    try {
        const visit = await Visit.begin(context, server.origin);
        await visit.choose({ dtype, threads, count: SLOW.has(dtype) ? Math.min(5, tokens) : tokens });
        await visit.page.evaluate(() => {
            window.times = [];
            const told = window.told.push.bind(window.told);
            window.told.push = (one) => (one.type === 'token' && window.times.push(performance.now()), told(one));
        });
        const began = performance.now();
        await visit.page.click('#load');
        if ((await visit.view('talk', 'trouble')) === 'trouble') throw new Error(await visit.page.innerText('#trouble'));
        const load = (performance.now() - began) / 1000, { memory } = await visit.write(PROMPT);
        return { load, token: median(gaps(await visit.page.evaluate(() => window.times))), memory, page: await peakOf(context.browser()) };
    } finally {
        await close();
        await server.close();
    }
}

/* ---- rounds and tables ---- */

function bytesOf({ folder: from, dtype }) {
    const name = `model${SUFFIXES[dtype]}.onnx`, files = readdirSync(path.join(from, 'onnx')).filter((file) => file === name || file.startsWith(`${name}_data`));
    return files.reduce((sum, file) => sum + statSync(path.join(from, 'onnx', file)).size, 0);
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(0);
const spread = (numbers, digits) => `${median(numbers).toFixed(digits)} (${Math.min(...numbers).toFixed(digits)} … ${Math.max(...numbers).toFixed(digits)})`;

// results: file → [one measurement a round]
function table(title, results) {
    console.log(`\n${title}\n\n| file | MB | load, s | ms a token | tokens/s | memory, MB | speed ÷ fp32's |\n${'| --- '.repeat(7)}|`);
    const fp32 = [...results].find(([file]) => file.name === 'fp32')?.[1];
    for (const [file, rounds] of results) {
        const ratios = fp32 && rounds.map(({ token }, n) => fp32[n].token / token), token = rounds.map((one) => one.token);
        console.log(`| ${file.name} | ${megabytes(bytesOf(file))} | ${spread(rounds.map((one) => one.load), 1)} | ${spread(token, 0)} | ${(1000 / median(token)).toFixed(1)} | ` +
                    `${megabytes(Math.max(...rounds.map((one) => one.memory)))}${rounds[0].page ? `, page ${megabytes(Math.max(...rounds.map((one) => one.page)))}` : ''} | ${ratios ? spread(ratios, 2) : ''} |`);
    }
}

function chosen() {
    const peers = given.peer.map((pair) => {
        const [name, from] = pair.split('=');
        return { name, folder: from, dtype: JSON.parse(readFileSync(path.join(from, 'config.json')))['transformers.js_config'].dtype };
    });
    const all = [...Object.keys(SUFFIXES).map((dtype) => ({ name: dtype, folder, dtype })), ...peers];
    return given.files ? all.filter(({ name }) => given.files.split(',').includes(name)) : all;
}

async function main() {
    const files = chosen(), counts = given.threads.split(',').map(Number).filter(Boolean);
    const places = [...counts.map((threads) => [`WebAssembly, ${threads} thread(s)`, (file) => inPage(file, threads)]), ['Node', inNode]];
    const results = places.map(() => new Map(files.map((file) => [file, []])));
    for (let round = 0; round < Number(given.rounds); round++)
        for (const [n, [, measure]] of places.entries()) for (const file of files) results[n].get(file).push(await measure(file));
    for (const [n, [title]] of places.entries()) table(title, results[n]);
    if (given.json)
        writeFileSync(given.json, JSON.stringify(places.map(([title], n) => ({ title, files: [...results[n]].map(([file, rounds]) => ({ ...file, bytes: bytesOf(file), rounds })) })), null, 1));
    process.exit(0);
}

if (given.node) await measureInNode(given.node);
else await main();
