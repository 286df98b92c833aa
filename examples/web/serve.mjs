// Serves the page and a model folder: npm start -- [FOLDER [PORT]], ./model and 8080 unless given. Any other static server does, too, with
// the model at ./model and node_modules beside the page; this one lets WebAssembly use threads (COOP and COEP) and calls no one.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const LIBRARIES = ['node_modules/@huggingface/transformers/dist/', 'node_modules/onnxruntime-web/dist/'];
const TYPES = {
    '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.mjs': 'text/javascript', '.svg': 'image/svg+xml',
    '.wasm': 'application/wasm', '.json': 'application/json',
};
const HEADERS = {
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'cross-origin-resource-policy': 'same-origin',
    'content-security-policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-cache', // asked again each time, answered by an ETag
    'accept-ranges': 'bytes',
};

// The file behind a URL's path, or null. Of the page's folder only what lies beside the page and the two libraries, and nothing hidden.
function fileOf(url, model) {
    const asked = decodeURIComponent(new URL(url, 'http://page').pathname).slice(1) || 'index.html';
    if (asked.split('/').some((part) => part.startsWith('.'))) return null;
    const [first, ...rest] = asked.split('/');
    const root = first === 'model' ? model : here, name = first === 'model' ? rest.join('/') : asked;
    if (root === here && rest.length > 0 && !LIBRARIES.some((folder) => asked.startsWith(folder))) return null;
    const file = path.join(root, name), stat = statSync(file, { throwIfNoEntry: false });
    return file.startsWith(root + path.sep) && stat?.isFile() ? { file, bytes: stat.size, tag: `"${stat.size.toString(36)}-${Math.round(stat.mtimeMs).toString(36)}"` } : null;
}

// "bytes=5-", "bytes=5-9", "bytes=-9" of a file: [first, last]; null: no range, or one that is not understood; false: not in the file.
function rangeOf(header, bytes) {
    const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
    if (!from && !to) return null;
    const first = from ? Number(from) : Math.max(0, bytes - Number(to)), last = from && to ? Math.min(Number(to), bytes - 1) : bytes - 1;
    return first <= last && first < bytes ? [first, last] : false;
}

function answer(request, response, model) {
    let found = null;
    try {
        found = fileOf(request.url, model);
    } catch {} // no path at all
    if (!found || !['GET', 'HEAD'].includes(request.method)) {
        response.writeHead(found ? 405 : 404, { ...HEADERS, 'content-type': 'text/plain' }).end(found ? 'GET or HEAD\n' : 'not here\n');
        return;
    }
    const headers = { ...HEADERS, etag: found.tag, 'content-type': TYPES[path.extname(found.file)] ?? 'application/octet-stream' };
    if (request.headers['if-none-match'] === found.tag) {
        response.writeHead(304, headers).end();
        return;
    }
    const range = rangeOf(request.headers.range, found.bytes);
    if (range === false) {
        response.writeHead(416, { ...headers, 'content-range': `bytes */${found.bytes}` }).end();
        return;
    }
    const [first, last] = range ?? [0, found.bytes - 1];
    if (range) headers['content-range'] = `bytes ${first}-${last}/${found.bytes}`;
    response.writeHead(range ? 206 : 200, { ...headers, 'content-length': last - first + 1 });
    if (request.method === 'HEAD' || found.bytes === 0) response.end();
    else pipeline(createReadStream(found.file, { start: first, end: last, highWaterMark: 1 << 20 }), response, () => {}); // who leaves early, leaves
}

export function serve(folder, port) {
    const model = path.resolve(folder), server = createServer((request, response) => answer(request, response, model));
    return new Promise((resolve, reject) => server.once('error', reject).listen(port, 'localhost', () => resolve(server)));
}

function stop(message) {
    console.error(message);
    process.exit(2);
}

async function main() {
    const [folder = 'model', port = '8080'] = process.argv.slice(2);
    if (!existsSync(path.join(folder, 'config.json')))
        stop(`${folder} is no model folder: it has no config.json. npm start -- FOLDER, with a folder that gemma-onnx build wrote.`);
    if (!LIBRARIES.every((library) => existsSync(path.join(here, library)))) stop('The libraries are not installed yet: npm ci');
    const server = await serve(folder, Number(port)).catch((error) => stop(`port ${port}: ${error.message}. npm start -- ${folder} PORT takes another.`));
    console.log(`http://localhost:${server.address().port}/ chats with ${path.resolve(folder)}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
