// Keeps the page and its libraries, so that they load without a network; with one, the server's are taken, asked for by their stamps.
// The model's files are kept by store.js, since a service worker may be ended in the middle of a long download.
const NAME = 'gemma-onnx-page';
const PAGE = ['./', 'style.css', 'icon.svg', 'page.js', 'folder.js', 'store.js', 'words.js', 'worker.js',
              'node_modules/@huggingface/transformers/dist/transformers.min.js'];
const MODEL = new URL('model/', registration.scope).href;

addEventListener('install', (event) => event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(PAGE)).then(() => skipWaiting())));
addEventListener('activate', (event) => event.waitUntil(clients.claim()));

// Servers that do not ask for isolation, without which there are no threads: it is added here, from the second visit on.
function isolated(response, request) {
    if (!['document', 'worker'].includes(request.destination) || response.headers.has('cross-origin-embedder-policy')) return response;
    const headers = new Headers(response.headers);
    headers.set('cross-origin-opener-policy', 'same-origin');
    headers.set('cross-origin-embedder-policy', 'require-corp');
    return new Response(response.body, { status: response.status, headers });
}

function conditions(kept) {
    const tag = kept?.headers.get('etag'), time = kept?.headers.get('last-modified');
    return tag ? { 'if-none-match': tag } : time ? { 'if-modified-since': time } : {};
}

async function ofPage(event, url) {
    const cache = await caches.open(NAME), kept = await cache.match(url);
    if (kept && !navigator.onLine) return kept;
    try {
        const response = await fetch(url, { cache: 'no-store', headers: conditions(kept) });
        if (response.status === 304) return kept;
        if (response.ok) event.waitUntil(cache.put(url, response.clone()));
        return response;
    } catch (error) {
        if (kept) return kept;
        throw error;
    }
}

// What is known about a file: the server's word, else the kept file's; 204: nothing.
async function about(request) {
    if (navigator.onLine) {
        const response = await fetch(request).catch(() => null);
        if (response) return response;
    }
    const kept = await caches.match(request.url);
    return kept ? new Response(null, { headers: kept.headers }) : new Response(null, { status: 204 });
}

addEventListener('fetch', (event) => {
    const { request } = event, url = request.url.split(/[?#]/)[0];
    if (!url.startsWith(registration.scope)) return;
    if (request.method === 'HEAD') event.respondWith(about(request));
    else if (request.method === 'GET' && !url.startsWith(MODEL) && !request.headers.has('range')) event.respondWith(ofPage(event, url).then((response) => isolated(response, request)));
});
