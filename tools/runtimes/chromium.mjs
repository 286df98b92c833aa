// One measurement in a page of headless Chromium: node chromium.mjs PACKAGES JOB.json, PACKAGES with Transformers.js and playwright-core in its
// node_modules. Loads the job's file with Transformers.js and continues its prompts; the answer is a line of JSON on stdout, as driver.mjs gives it, with
// the peak of the page's resident memory. CHROMIUM names the browser (default /usr/bin/chromium).
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { peakOf } from '../../tests/node/web/peak.mjs';

const [packages, file] = process.argv.slice(2);
const job = JSON.parse(readFileSync(file, 'utf8'));
const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const FLAGS_OF = { wasm: ['--disable-gpu'], webgpu: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'] };
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
const ALONE = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }; // threads want a page that is isolated

// The page, the libraries, the model. Nothing else is reachable.
const ROOTS = {
    page: path.join(path.dirname(fileURLToPath(import.meta.url)), 'page'),
    modules: path.join(path.resolve(packages), 'node_modules'),
    model: path.dirname(path.dirname(job.path)),
};

function fileOf(url) {
    const [, root, ...rest] = decodeURIComponent(new URL(url, 'http://local').pathname).split('/');
    if (!(root in ROOTS)) return null;
    const found = path.join(ROOTS[root], ...(root === 'model' ? rest.slice(1) : rest));
    return found.startsWith(ROOTS[root] + path.sep) && statSync(found, { throwIfNoEntry: false })?.isFile() ? found : null;
}

function serve() {
    const server = createServer((request, response) => {
        const found = fileOf(request.url);
        if (!found) return void response.writeHead(404, ALONE).end();
        response.writeHead(200, { ...ALONE, 'content-type': TYPES[path.extname(found)] ?? 'application/octet-stream', 'content-length': statSync(found).size });
        if (request.method === 'HEAD') response.end();
        else createReadStream(found).pipe(response);
    });
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function answer(origin) {
    const { chromium } = createRequire(path.join(path.resolve(packages), 'package.json'))('playwright-core');
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...FLAGS, ...FLAGS_OF[job.device]] });
    const talk = [], browserName = `Chromium ${browser.version().split('.')[0]}`;
    let stage = 'load';
    try {
        const page = await browser.newPage();
        page.setDefaultTimeout(0);
        page.on('console', (message) => ['warning', 'error'].includes(message.type()) && talk.push(message.text()));
        await page.route((url) => !['blob:', 'data:'].includes(url.protocol) && url.origin !== origin, (route) => route.abort());
        // A missing data file rejects outside of every call that could be awaited.
        const astray = new Promise((_, reject) => {
            page.on('pageerror', reject);
            page.on('crash', () => reject(new Error('the page crashed')));
        });
        astray.catch(() => {});
        await page.goto(`${origin}/page/index.html`);
        await Promise.race([page.waitForFunction(() => window.generate), astray]);
        const loaded = await Promise.race([page.evaluate((one) => window.load(one), job), astray]);
        stage = 'run';
        const found = await Promise.race([page.evaluate((one) => window.generate(one), job), astray]);
        return { ...loaded, ...found, peak_bytes: await peakOf(browser), browser: browserName, warnings: talk.join('\n').slice(0, 4000) };
    } catch (error) {
        return { error: String(error?.message ?? error).slice(0, 1000), stage, browser: browserName };
    } finally {
        await browser.close();
    }
}

const server = await serve(), found = await answer(`http://127.0.0.1:${server.address().port}`);
process.stdout.write(`\n${JSON.stringify(found)}\n`, () => process.exit(0));
