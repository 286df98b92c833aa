// examples/web on the real Gemma 3 270M, in headless Chromium: ids as in Node for every precision, WebAssembly with one thread and two, WebGPU
// on SwiftShader (a GPU in software, a hundred times slower than one, and without 16-bit arithmetic), figures, and screenshots.
//
//   node tests/node/web/real.mjs FOLDER SCREENSHOTS
//
// Closes with 'N passed, N failed', and exits with 1 on any failure. CHROMIUM names the browser.
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { browse, check, finish, prompts, served, Visit, NO_GPU, SWIFTSHADER } from './harness.mjs';
import { placements } from './placement.mjs';
import { peakOf } from './peak.mjs';
import { Reference } from './reference.mjs';

const [folder, shots] = process.argv.slice(2);
const FAST = { q8: 24, fp16: 24, fp32: 24 }, SLOW = { q4: 5, q4f16: 5, int8: 5 }; // tokens: products of blocks take a second each in WebAssembly
const TEXTS = [prompts.capital, prompts.python];
const reference = await Reference.of(folder), server = await served(folder);
mkdirSync(shots, { recursive: true });

const COLUMNS = [['', 22], ['load s', 9], ['first s', 9], ['tokens/s', 10], ['heap MB', 9], ['page MB', 9]];
const row = (cells) => console.log(cells.map((cell, n) => (n ? String(cell).padStart(COLUMNS[n][1]) : String(cell).padEnd(COLUMNS[n][1]))).join(''));
const megabytes = (bytes) => (bytes / 1e6).toFixed(0);

async function judged(name, dtype, text, ids, count) {
    const fault = await reference.judge(dtype, reference.ids(text), ids, count);
    check(`${name}, ${JSON.stringify(text.slice(0, 30))}: ids as in Node`, fault === null, fault);
}

// A browser of its own for each: a heap never shrinks, and the peak is to be this file's.
async function inWasm(dtype, threads, count) {
    const { context, close } = await browse(NO_GPU), name = `${dtype}, wasm, ${threads} thread${threads > 1 ? 's' : ''}`;
    try {
        const visit = await Visit.begin(context, server.origin), began = performance.now();
        await visit.load({ dtype, threads, count });
        const loaded = (performance.now() - began) / 1000, last = {};
        for (const text of dtype in FAST ? TEXTS : TEXTS.slice(0, 1)) {
            Object.assign(last, await visit.write(text));
            await judged(name, dtype, text, last.ids, count);
        }
        row([name, loaded.toFixed(1), last.first.toFixed(2), last.rate.toFixed(2), megabytes(last.memory), megabytes(await peakOf(context.browser()))]);
        await visit.end(name);
    } finally {
        await close();
    }
}

// A second visit: from the address to the first token, everything from the cache.
async function warm() {
    const { context, close } = await browse(NO_GPU);
    const visit = await Visit.begin(context, server.origin);
    await visit.load({ count: 1 });
    const began = performance.now();
    await visit.page.reload();
    await visit.view('setup');
    const seen = performance.now();
    check('a second visit needs no download', (await visit.page.innerText('#load')) === 'Load from this device');
    await visit.load({ count: 1 });
    const ready = performance.now();
    await visit.write(TEXTS[0]);
    const seconds = (from, to) => ((to - from) / 1000).toFixed(1);
    console.log(`warm: page ${seconds(began, seen)} s, ready ${seconds(seen, ready)} s, first token ${seconds(ready, performance.now())} s: ${seconds(began, performance.now())} s in all`);
    await visit.end('warm');
    await close();
}

async function onWebGpu() {
    const { context, close } = await browse(SWIFTSHADER), visit = await Visit.begin(context, server.origin), { page } = visit;
    await page.selectOption('#device', 'webgpu');
    const offered = await page.$$eval('#precision option', (all) => all.map(({ value }) => value));
    check('without 16-bit arithmetic, fp16 and q4f16 are not offered', offered.toSorted().join() === 'fp32,int8,q4,q8', offered);
    check('… and it says why', /fp16 \(this GPU.*q4f16 \(this GPU/.test(await page.innerText('#excluded')), await page.innerText('#excluded'));
    check('WebGPU: the default is q4', (await page.inputValue('#precision')) === 'q4', await page.inputValue('#precision'));
    for (const dtype of ['q4', 'fp32']) {
        await visit.load({ device: 'webgpu', dtype, count: 4 });
        const { ids, first, rate } = await visit.write(TEXTS[0]);
        await judged(`${dtype}, WebGPU`, dtype, TEXTS[0], ids, 4);
        row([`${dtype}, WebGPU`, '', first.toFixed(1), rate.toFixed(3), '', '']);
        await page.click('#new');
        await page.click('#settings');
    }
    await visit.end('WebGPU');
    const files = readdirSync(path.join(folder, 'onnx'));
    await placements(context, server.origin, files.filter((name) => name.endsWith('.onnx')).map((name) => ({ name, data: files.filter((file) => file.startsWith(`${name}_data`)) })));
    await close();
}

async function screenshots(name, words, text) {
    const { context, close } = await browse(NO_GPU, words), visit = await Visit.begin(context, server.origin), { page } = visit;
    const shot = (view) => page.screenshot({ path: path.join(shots, `${name}-${view}.png`) });
    await shot('1-setup');
    await visit.choose({ words: 'greedy', count: 64 });
    await page.click('#load');
    await page.waitForFunction(() => document.getElementById('total').value > 0.3);
    await shot('2-loading');
    await visit.view('talk');
    await shot('3-empty');
    await visit.reply(async () => {
        await page.locator('#prompt').pressSequentially(text);
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.querySelector('.reply').textContent.length > 80);
        await shot('4-writing');
    });
    await shot('5-written');
    await context.route('**/model_fp16.onnx_data', (route) => (route.request().method() === 'GET' ? route.abort() : route.continue()));
    await page.click('#settings');
    await page.selectOption('#precision', 'fp16');
    await page.click('#load');
    await visit.view('trouble');
    await shot('6-trouble');
    await visit.end(name);
    await close();
}

row(COLUMNS.map(([title]) => title));
const steps = [
    ...Object.entries({ ...FAST, ...SLOW }).map(([dtype, count]) => () => inWasm(dtype, 1, count)), () => inWasm('q8', 2, FAST.q8), () => inWasm('fp32', 2, FAST.fp32), warm,
    () => screenshots('desktop-light', { viewport: { width: 1100, height: 720 }, colorScheme: 'light' }, 'The tide came in over the flats, and'),
    () => screenshots('phone-dark', { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, colorScheme: 'dark' }, 'Once upon a time, in a village by the sea,'),
    onWebGpu,
];
for (const step of steps) {
    try {
        await step();
    } catch (error) {
        check(String(step), false, error.stack ?? error);
    }
}
await server.close();
finish();
