// Transformers.js in a browser as an outside judge: loads an exported folder in a page of headless Chromium, dtype by dtype,
// with one thread, and compares the greedy ids with those that Transformers.js in Node gets from the same file.
//
//   node tests/node/browser.mjs FOLDER [DTYPE[@DEVICE] …]        all that the folder has, on wasm, unless named
//
// Prints a table, closes with 'N passed, N failed', and exits with 1 when a file does not load or generate, when fp32, fp16 or q8
// ids differ from Node's, or when the page asks for anything from outside. Files with quantised activations may part after a
// few tokens: the kernels differ. CHROMIUM names the browser (default /usr/bin/chromium).
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const SUFFIX = { fp32: '', fp16: '_fp16', q8: '_quantized', q4: '_q4', q4f16: '_q4f16' };
const SLOW = new Set(['q4', 'q4f16']); // about a token a second in wasm
const EXACT = new Set(['fp32', 'fp16', 'q8']);
const LIMIT = 10 * 60 * 1000;
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
               '--disable-sync'];
const FLAGS_OF = {
    wasm: ['--disable-gpu'],
    webgpu: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
};
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };

const [given, ...named] = process.argv.slice(2);
const folder = given && path.resolve(given);
if (!folder || !existsSync(path.join(folder, 'config.json')) || !existsSync(BROWSER)) {
    console.error(folder && !existsSync(BROWSER) ? `no browser at ${BROWSER}: install chromium, or name one in CHROMIUM`
                                                 : 'usage: node tests/node/browser.mjs FOLDER [DTYPE[@DEVICE] …], FOLDER with a config.json');
    process.exit(2);
}
const prompt = JSON.parse(readFileSync(path.join(here, '../data/prompts.json'))).find((one) => one.name === 'capital').text;

function jobs() {
    const all = Object.keys(SUFFIX).filter((dtype) => existsSync(path.join(folder, 'onnx', `model${SUFFIX[dtype]}.onnx`)));
    return (named.length ? named : all).map((name) => {
        const [dtype, device = 'wasm'] = name.split('@');
        if (!(dtype in SUFFIX) || !(device in FLAGS_OF)) {
            console.error(`${name}: known are ${Object.keys(SUFFIX).join(', ')}, on ${Object.keys(FLAGS_OF).join(' or ')}`);
            process.exit(2);
        }
        return { name, dtype, device, prompt, tokens: SLOW.has(dtype) ? 4 : 24 };
    });
}

// The served tree: the page, the libraries, the folder. Nothing outside these three is reachable.
const ROOTS = { page: path.join(here, 'page'), modules: path.join(here, 'node_modules'), model: folder };
function fileOf(url) {
    const [, root, ...rest] = decodeURIComponent(new URL(url, 'http://local').pathname).split('/');
    if (!(root in ROOTS)) return null;
    const file = path.join(ROOTS[root], ...(root === 'model' ? rest.slice(1) : rest));
    const inside = file.startsWith(ROOTS[root] + path.sep);
    return inside && statSync(file, { throwIfNoEntry: false })?.isFile() ? file : null;
}

function serve() {
    const server = createServer((request, response) => {
        const file = fileOf(request.url);
        if (!file) {
            response.writeHead(404).end();
            return;
        }
        response.writeHead(200, {
            'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
            'content-length': statSync(file).size,
        });
        if (request.method === 'HEAD') response.end();
        else createReadStream(file).pipe(response);
    });
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

// The page's own process: CPU seconds so far, which a busy machine disturbs less than the clock, and peak memory in bytes (Linux
// only, else 0).
async function usage(browser) {
    const session = await browser.newBrowserCDPSession();
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    const pages = processInfo.filter(({ type }) => type === 'renderer').map(({ id, cpuTime }) => {
        const status = `/proc/${id}/status`;
        const peak = existsSync(status) ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1] ?? 0) * 1024 : 0;
        return { cpu: cpuTime, peak };
    });
    await session.detach();
    return { cpu: pages.reduce((sum, one) => sum + one.cpu, 0), peak: Math.max(0, ...pages.map((one) => one.peak)) };
}

async function inBrowser(chromium, origin, job) {
    const browser = await chromium.launch({ executablePath: BROWSER, args: [...FLAGS, ...FLAGS_OF[job.device]] });
    const talk = [], outside = [];
    try {
        const page = await browser.newPage();
        page.on('console', (message) => ['warning', 'error'].includes(message.type()) && talk.push(message.text()));
        await page.route((url) => !['blob:', 'data:'].includes(url.protocol) && url.origin !== origin, (route) => {
            outside.push(route.request().url());
            return route.abort();
        });
        // A missing data file rejects outside of every call that could be awaited.
        const astray = new Promise((_, reject) => {
            page.on('pageerror', (error) => reject(error));
            page.on('crash', () => reject(new Error('the page crashed')));
            setTimeout(() => reject(new Error(`nothing after ${LIMIT / 1000} s`)), LIMIT).unref();
        });
        astray.catch(() => {});
        await page.goto(`${origin}/page/index.html`);
        await Promise.race([page.waitForFunction(() => window.generate), astray]);
        const atStart = await usage(browser);
        const loaded = await Promise.race([page.evaluate((one) => window.load(one), job), astray]);
        const atLoaded = await usage(browser);
        const generated = await Promise.race([page.evaluate((one) => window.generate(one), job), astray]);
        const { cpu, peak } = await usage(browser);
        return { ...loaded, ...generated, loadCpu: atLoaded.cpu - atStart.cpu, generateCpu: cpu - atLoaded.cpu, peak, talk, outside };
    } catch (error) {
        return { error, talk, outside };
    } finally {
        await browser.close();
    }
}

async function inNode({ AutoModelForCausalLM, AutoTokenizer, env }, { dtype, tokens }) {
    env.allowRemoteModels = false;
    env.localModelPath = path.dirname(folder) + path.sep;
    const id = path.basename(folder), inputs = (await AutoTokenizer.from_pretrained(id))(prompt);
    const model = await AutoModelForCausalLM.from_pretrained(id, { dtype, device: 'cpu' });
    const output = await model.generate({ ...inputs, max_new_tokens: tokens, do_sample: false });
    await model.dispose();
    return output.tolist()[0].slice(inputs.input_ids.dims[1]).map(Number);
}

const COLUMNS = [['file', 12], ['load s', 8], ['cpu s', 7], ['first s', 9], ['tokens/s', 10], ['best ms', 9], ['cpu ms/token', 14], ['heap MB', 9],
                 ['page MB', 9], ['as Node', 9]];
const row = (cells) => console.log(cells.map((cell, n) => (n ? String(cell).padStart(COLUMNS[n][1]) : String(cell).padEnd(COLUMNS[n][1]))).join(''));
const megabytes = (bytes) => (bytes ? (bytes / 1e6).toFixed(0) : '-');

function judge(job, result, wanted) {
    const equal = wanted.findIndex((id, n) => result.ids[n] !== id), same = equal < 0 ? wanted.length : equal;
    row([job.name, result.load.toFixed(1), result.loadCpu.toFixed(1), result.first.toFixed(2), result.rate.toFixed(2), result.best.toFixed(0),
         ((result.generateCpu / result.ids.length) * 1000).toFixed(0), megabytes(result.heap), megabytes(result.peak),
         `${same}/${wanted.length}`]);
    console.log(`    ${JSON.stringify(result.text)}`);
    return EXACT.has(job.dtype) && same < wanted.length ? `ids ${result.ids} | Node's ${wanted}` : null;
}

const [{ chromium }, library] = await Promise.all([import('playwright-core'), import('@huggingface/transformers')]).catch((error) => {
    console.error(`Transformers.js or playwright-core does not load (${error.message}); run scripts/node-env`);
    process.exit(2);
});
const server = await serve(), origin = `http://127.0.0.1:${server.address().port}`;
let passed = 0, failed = 0;
row(COLUMNS.map(([title]) => title));
for (const job of jobs()) {
    const result = await inBrowser(chromium, origin, job);
    let fault = result.error?.message ?? result.error ?? null;
    fault ??= judge(job, result, await inNode(library, job));
    if (!fault && result.outside.length) fault = `the page asked for ${result.outside}`;
    for (const line of new Set(result.talk)) console.log(`    says: ${line}`);
    if (fault) console.log(`FAILED ${job.name}: ${fault}`);
    if (fault) failed++;
    else passed++;
}
server.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
