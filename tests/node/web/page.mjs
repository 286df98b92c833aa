// examples/web on tiny models, in headless Chromium.
//
//   node tests/node/web/page.mjs FOLDER TWO_GRAPHS ENCODER     folders of a chat model, of one that loads as two graphs, and of an encoder
//
// Closes with 'N passed, N failed', and exits with 1 on any failure. CHROMIUM names the browser.
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { browse, check, finish, served, Visit, NO_GPU } from './harness.mjs';
import { Reference } from './reference.mjs';
import { explain } from '../../../examples/web/words.js';

const here = path.dirname(fileURLToPath(import.meta.url)), page_folder = path.join(here, '../../../examples/web');
const [folder, two_graphs, encoder] = process.argv.slice(2);
const scratch = mkdtempSync(path.join(tmpdir(), 'gemma-onnx-web-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const TEXT = 'the and then', DTYPES = ['q8', 'fp16', 'fp32', 'q4', 'q4f16', 'int8'];
const text_of = (page, id) => page.innerText(`#${id}`);
const options = (page, id) => page.$$eval(`#${id} option`, (all) => all.map(({ value }) => value));

// A copy that a test may change.
function copyOf(original, name, change = () => {}) {
    const copy = path.join(scratch, name);
    cpSync(original, copy, { recursive: true });
    change(copy);
    return copy;
}

function edit(file, change) {
    writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file)))));
}

/* ---- the tests ---- */

async function everyPrecision(context) {
    const { origin, close } = await served(folder), reference = await Reference.of(folder);
    const visit = await Visit.begin(context, origin), prompt = reference.chatIds([{ role: 'user', content: TEXT }]);
    check('precisions', (await options(visit.page, 'precision')).toSorted().join() === DTYPES.toSorted().join(), await options(visit.page, 'precision'));
    check('the default is q8', (await visit.page.inputValue('#precision')) === 'q8', await visit.page.inputValue('#precision'));
    check('a chat model', (await text_of(visit.page, 'kind')).includes('answers'), await text_of(visit.page, 'kind'));
    await visit.inspect('setup');
    for (const dtype of DTYPES) {
        await visit.load({ dtype, count: 12 });
        const { ids } = await visit.write(TEXT), fault = await reference.judge(dtype, prompt, ids, 12);
        check(`${dtype}: ids as in Node`, fault === null, fault);
        await visit.page.click('#new');
        await visit.page.click('#settings');
    }
    check('isolated', await visit.page.evaluate(() => crossOriginIsolated));
    const before = await workers(context);
    await visit.load({ dtype: 'q8', threads: 2, count: 12 });
    const { ids } = await visit.write(TEXT), fault = await reference.judge('q8', prompt, ids, 12), more = (await workers(context)) - before;
    check('two threads: ids as in Node', fault === null, fault);
    check('two threads: a worker more', more === 1, `${more} more`);
    await visit.end('every precision');
    await close();
}

// Workers of all kinds that the browser runs.
async function workers(context) {
    const session = await context.browser().newBrowserCDPSession(), { targetInfos } = await session.send('Target.getTargets', { filter: [{}] });
    await session.detach();
    return targetInfos.filter(({ type }) => type === 'worker').length;
}

// Loads, from the first Tab on; then one can write.
async function byKeys({ page, view }) {
    const focused = () => page.evaluate(() => document.activeElement.id);
    await page.evaluate(() => document.activeElement.blur());
    for (let n = 0; n < 20 && (await focused()) !== 'load'; n++) await page.keyboard.press('Tab');
    check('Tab comes to the button', (await focused()) === 'load', await focused());
    await page.keyboard.press('Enter');
    await view('talk');
    check('then one can write', (await focused()) === 'prompt', await focused());
}

async function conversation(context) {
    const { origin, close } = await served(folder), reference = await Reference.of(folder), visit = await Visit.begin(context, origin);
    await visit.choose({ dtype: 'fp32', count: 8 });
    await byKeys(visit);
    await visit.inspect('before the first word');
    await visit.reply(async () => {
        await visit.page.keyboard.type('the');
        await visit.page.keyboard.press('Shift+Enter');
        await visit.page.keyboard.type('and');
        await visit.page.keyboard.press('Enter');
    });
    check('two lines', (await visit.page.textContent('.asked')) === 'the\nand', JSON.stringify(await visit.page.textContent('.asked')));
    await visit.page.click('#new');
    const first = await visit.write(TEXT), heard = await visit.page.evaluate(() => window.spoken);
    check('a reply is said once, whole', heard.filter((text) => text === first.text).length === 1 && heard.at(-1) === first.text, JSON.stringify(heard));
    await visit.inspect('a reply');
    const messages = [{ role: 'user', content: TEXT }, { role: 'assistant', content: first.text }, { role: 'user', content: 'then' }];
    const second = await visit.write('then'), ids = reference.chatIds(messages), fault = await reference.judge('fp32', ids, second.ids, 8);
    check('the second turn: ids as in Node', fault === null, fault);

    await visit.page.click('#new');
    const short = await visit.write(TEXT), more = await visit.reply(() => visit.page.click('.go-on'));
    const whole = await reference.judge('fp32', reference.chatIds(messages.slice(0, 1)), [...short.ids, ...more.ids], short.ids.length + more.ids.length);
    check('going on is the same text', whole === null, whole);
    check('only the last id is read again', more.fed === 1, more.fed);
    await visit.end('conversation');
    await close();
}

async function offline(context) {
    const model = copyOf(folder, 'offline'), { origin, close } = await served(model), visit = await Visit.begin(context, origin), { page } = visit;
    await visit.load({ count: 12 });
    const before = await visit.write(TEXT);
    await page.reload();
    await visit.view('setup');
    check('kept', (await text_of(page, 'load')) === 'Load from this device', await text_of(page, 'load'));
    const twice = await page.evaluate(async () => {
        const names = await caches.keys(), urls = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)));
        return urls.flat().filter((url, n, all) => all.indexOf(url) !== n);
    });
    check('nothing is kept twice', twice.length === 0, twice);
    const graph = path.join(model, 'onnx/model_quantized.onnx'), { atime, mtime } = statSync(graph);
    utimesSync(graph, atime, new Date(mtime.getTime() + 5000)); // built anew
    await page.reload();
    await visit.view('setup');
    check('a newer file is fetched', (await text_of(page, 'load')).startsWith('Load ·'), await text_of(page, 'load'));
    utimesSync(graph, atime, mtime);

    await close();
    await page.reload();
    await visit.view('setup');
    check('offline: what is kept is offered', (await options(page, 'precision')).join() === 'q8', await options(page, 'precision'));
    await visit.load({ count: 12 });
    const after = await visit.write(TEXT);
    check('offline: the same ids', after.ids.join() === before.ids.join(), `${after.ids} | ${before.ids}`);
    await page.click('#settings');
    await page.click('#forget');
    await visit.view('trouble');
    check('offline: gone when removed', (await text_of(page, 'trouble')).includes('connection'), await text_of(page, 'trouble'));
    await visit.end('offline');
}

// A base model, and one that never ends by itself: it is stopped between two tokens, whenever that is.
async function baseModel(context) {
    const base = copyOf(folder, 'base', (copy) => {
        edit(path.join(copy, 'tokenizer_config.json'), ({ chat_template, ...rest }) => rest);
        edit(path.join(copy, 'generation_config.json'), (config) => ({ ...config, eos_token_id: [] }));
        edit(path.join(copy, 'config.json'), ({ eos_token_id, ...rest }) => rest);
    });
    const { origin, close } = await served(base), reference = await Reference.of(base), visit = await Visit.begin(context, origin), { page } = visit;
    check('a base model', (await text_of(page, 'kind')).includes('base model'), await text_of(page, 'kind'));
    await visit.load({ dtype: 'fp32', count: 8000 });
    for (const [how, stop] of [['the button', () => page.click('#stop')], ['Escape', () => page.keyboard.press('Escape')]]) {
        const stopped = await visit.reply(async () => {
            await page.locator('#prompt').pressSequentially(`${TEXT} `);
            await page.keyboard.press('Enter');
            await page.waitForFunction(() => document.querySelector('.exchange:last-child .reply').textContent.length > 3);
            await stop();
        });
        check(`${how} stops`, stopped.reason === 'stopped' && stopped.count < 8000 && stopped.count === stopped.ids.length, JSON.stringify({ ...stopped, ids: stopped.ids.length }));
        const fault = await reference.judge('fp32', reference.ids(`${TEXT} `), stopped.ids, stopped.count);
        check('a base model continues', fault === null, fault);
        check('it is one text', (await page.textContent('.exchange:last-child .text')) === `${TEXT} ${stopped.text}`, await page.textContent('.exchange:last-child .text'));
    }
    await visit.inspect('a base model');
    await visit.end('base model');
    await close();
}

async function twoGraphs(context) {
    const { origin, close } = await served(two_graphs), reference = await Reference.of(two_graphs), visit = await Visit.begin(context, origin);
    await visit.load({ dtype: 'fp32', count: 8 });
    const { ids } = await visit.write(TEXT), fault = await reference.judge('fp32', reference.chatIds([{ role: 'user', content: TEXT }]), ids, 8);
    check('two graphs: ids as in Node', fault === null, fault);
    await visit.end('two graphs');
    await close();
}

// python3 -m http.server: no ETag, no isolation, which the service worker adds from the second visit on.
async function anyServer(context) {
    const root = path.join(scratch, 'static');
    cpSync(page_folder, root, { recursive: true, filter: (source) => !source.includes('node_modules') });
    symlinkSync(path.join(page_folder, 'node_modules'), path.join(root, 'node_modules'));
    symlinkSync(path.resolve(folder), path.join(root, 'model'));
    const server = spawn('python3', ['-u', '-m', 'http.server', '0', '--bind', 'localhost', '--directory', root], { stdio: ['ignore', 'pipe', 'ignore'] });
    const port = await new Promise((resolve) => server.stdout.on('data', (data) => /port (\d+)/.test(data) && resolve(/port (\d+)/.exec(data)[1])));
    const visit = await Visit.begin(context, `http://localhost:${port}`), { page } = visit;
    check('another server: not isolated at first', !(await page.evaluate(() => crossOriginIsolated)));
    await visit.load({ count: 12 });
    const first = await visit.write(TEXT);
    await page.reload();
    await visit.view('setup');
    check('another server: isolated then', await page.evaluate(() => crossOriginIsolated));
    check('another server: kept', (await text_of(page, 'load')) === 'Load from this device', await text_of(page, 'load'));
    await visit.load({ threads: 2, count: 12 });
    const second = await visit.write(TEXT);
    check('another server: the same ids', first.ids.length > 0 && second.ids.join() === first.ids.join(), `${second.ids} | ${first.ids}`);
    await visit.end('another server');
    server.kill();
}

/* ---- what goes wrong ---- */

async function mishaps(context) {
    const damaged = copyOf(folder, 'damaged', (copy) => unlinkSync(path.join(copy, 'onnx/model_q4.onnx_data')));
    const { origin, close } = await served(damaged), visit = await Visit.begin(context, origin), { page } = visit;
    check('a precision without its data is not offered', !(await options(page, 'precision')).includes('q4'), await options(page, 'precision'));
    check('… and it says why', /q4 \(a file is missing\)/.test(await text_of(page, 'excluded')), await text_of(page, 'excluded'));
    // It goes away after the page has seen it: the rejection that no one can await.
    await visit.choose({ dtype: 'fp16' });
    unlinkSync(path.join(damaged, 'onnx/model_fp16.onnx_data'));
    await page.click('#load');
    await visit.view('trouble');
    check('a file that is gone', /model_fp16\.onnx_data is missing/.test(await text_of(page, 'trouble')), await text_of(page, 'trouble'));
    await visit.inspect('trouble');
    await page.click('#other');
    await visit.view('setup');
    await visit.choose({ dtype: 'fp32' });
    await context.route('**/model.onnx_data', (route) => (route.request().method() === 'GET' ? route.abort() : route.continue()));
    await page.click('#load');
    await visit.view('trouble');
    check('a broken connection', /connection to the server broke/.test(await text_of(page, 'trouble')), await text_of(page, 'trouble'));
    await context.unroute('**/model.onnx_data');
    await page.click('#again');
    check('… and trying again', (await visit.view('talk', 'trouble')) === 'talk', await text_of(page, 'trouble'));
    check('errors of the network are in the console, and no others', visit.errors.every((text) => text.startsWith('Failed to load resource')), visit.errors.join('\n'));
    await visit.end('mishaps', { errors: visit.errors.length });
    await close();
}

async function otherFolders(context) {
    const empty = copyOf(folder, 'empty', (copy) => unlinkSync(path.join(copy, 'config.json')));
    for (const [name, path_of, words] of [['an encoder', encoder, /writes none/], ['no model', empty, /no model here/]]) {
        const { origin, close } = await served(path_of), visit = await Visit.begin(context, origin);
        check(name, words.test(await text_of(visit.page, 'trouble')), await text_of(visit.page, 'trouble'));
        await visit.inspect(name);
        await visit.end(name, { errors: name === 'no model' ? 1 : 0 }); // 404
        await close();
    }
}

// Messages as Chromium and ONNX Runtime give them.
function words() {
    for (const [message, title] of [
        ["Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc", /memory/], ['Array buffer allocation failed', /memory/],
        ['The device (webgpu) does not support fp16.', /16-bit/], ['Program Gather requires f16 but the device does not support it.', /16-bit/],
        ['[WebGPU] A valid external Instance reference no longer exists. Device lost', /graphics/], ['whatever', /went wrong/],
    ]) check(`in words: ${message}`, title.test(explain({ message }).title), explain({ message }).title);
}

words();
const { context, close } = await browse(NO_GPU);
for (const test of [everyPrecision, conversation, offline, baseModel, twoGraphs, anyServer, mishaps, otherFolders]) {
    const started = performance.now();
    try {
        await test(context);
        if (process.env.TIMES) console.log(test.name, ((performance.now() - started) / 1000).toFixed(1));
    } catch (error) {
        check(test.name, false, error.stack ?? error);
    }
}
await close();
finish();
