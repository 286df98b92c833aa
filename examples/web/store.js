// The model's files, kept in Cache Storage as they come in, so that the next visit needs no network. A kept file is good as long as the
// server's has the same stamp. Transformers.js' own cache is off: nothing is stored twice.

const NAME = 'gemma-onnx-model';
// Absent where the page is not secure (plain http from another machine): then nothing is kept.
const open = () => ('caches' in globalThis ? caches.open(NAME) : null);

export class FileProblem extends Error {
    constructor(kind, url) {
        super(`${kind}: ${new URL(url, location).pathname}`);
        this.kind = kind; // 'missing' or 'network'
        this.file = url.split('/').at(-1);
    }
}

const stampOf = (headers) => headers.get('etag') ?? `${headers.get('last-modified')} ${headers.get('content-length')}`;

// What the server says about a file; without a network the service worker says it about the kept one. null: there is no such file;
// undefined: nobody knows.
async function ask(url) {
    const response = await fetch(url, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
    return response?.status === 200 ? response.headers : response && response.status !== 204 ? null : undefined;
}

async function keptAs(url, headers) {
    const kept = await (await open())?.match(url);
    return kept && stampOf(kept.headers) === stampOf(headers) ? kept : null;
}

// { bytes, kept } of a file; or null, or undefined.
export async function look(url) {
    const headers = await ask(url);
    return headers && { bytes: Number(headers.get('content-length')), kept: Boolean(await keptAs(url, headers)) };
}

// Writes to the cache at the pace of the download. A full disk stops the keeping, not the reading.
async function keeping(url, response) {
    const cache = await open();
    if (!cache) return { write() {}, close() {}, abort() {} };
    const { readable, writable } = new TransformStream(), writer = writable.getWriter();
    const done = cache.put(url, new Response(readable, { headers: response.headers })).catch(() => {});
    const quietly = async (action) => action.catch(() => {});
    return {
        write: (chunk) => quietly(writer.write(chunk)),
        close: () => quietly(writer.close().then(() => done)),
        abort: () => quietly(writer.abort().then(() => done)),
    };
}

// All of a file. `progress` is told how many bytes are there so far.
export async function read(url, progress = () => {}) {
    const headers = await ask(url);
    if (!headers) throw new FileProblem(headers === null ? 'missing' : 'network', url);
    const kept = await keptAs(url, headers), response = kept ?? (await fetch(url, { cache: 'no-store' }).catch(() => null));
    if (!response?.ok) throw new FileProblem(response ? 'missing' : 'network', url);
    const bytes = new Uint8Array(Number(headers.get('content-length'))), keep = kept ? null : await keeping(url, response);
    let at = 0;
    try {
        for (const reader = response.body.getReader(); ;) {
            const { done, value } = await reader.read();
            if (done) break;
            bytes.set(value, at);
            at += value.length;
            progress(at);
            await keep?.write(value);
        }
        if (at !== bytes.length) throw new Error('short');
    } catch {
        await keep?.abort();
        throw new FileProblem('network', url);
    }
    await keep?.close();
    return bytes;
}

export async function readJson(url) {
    return JSON.parse(new TextDecoder().decode(await read(url)));
}

// Bytes of all that is kept.
export async function keptBytes() {
    const cache = await open();
    if (!cache) return 0;
    const all = await Promise.all((await cache.keys()).map((request) => cache.match(request)));
    return all.reduce((sum, response) => sum + Number(response.headers.get('content-length')), 0);
}

export async function forget() {
    if (await open()) await caches.delete(NAME);
}
