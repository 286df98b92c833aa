// The page: choose, load, talk. The model itself lives in worker.js.
import { memoryOf, obstacle, offered, readDevices, readFolder, runtimeOf, MODEL } from './folder.js';
import { forget, keptBytes, look } from './store.js';
import { duration, explain, megabytes, seconds, share, PRECISIONS, SLOW_IN_WASM } from './words.js';

const $ = (id) => document.getElementById(id);
const say = (text) => ($('status').textContent = text);
const isolated = globalThis.crossOriginIsolated;

let folder, devices, worker, running, conversation = [], current;
const EXAMPLES = {
    chats: ['Why is the sky blue?', 'Write a haiku about rain on a tin roof.', 'Give me three names for a small sailing boat.'],
    continues: ['The tide came in over the flats, and', 'Once upon a time, in a village by the sea,', 'The three most important things in life are'],
};

// One of the views; the composer keeps what is written in it.
function show(view) {
    for (const id of ['setup', 'loading', 'trouble', 'talk']) $(id).hidden = id !== view;
    $('new').hidden = view !== 'talk';
    $('settings').hidden = view !== 'talk' && !(running && view === 'setup');
    $('settings').textContent = view === 'setup' ? 'Back' : 'Settings';
}

function trouble(error) {
    const { title, remedy } = explain(error);
    $('trouble-title').textContent = title;
    $('remedy').textContent = remedy;
    $('cause').textContent = error.stack ?? error.message ?? '';
    $('details').hidden = !$('cause').textContent;
    $('other').hidden = !folder?.writes;
    show('trouble');
    (error.kind === 'network' || $('other').hidden ? $('again') : $('other')).focus();
}

/* ---- choosing ---- */

function fill(select, options) {
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

const choice = () => ({ device: $('device').value, dtype: $('precision').value });
const filesNeeded = ({ device, dtype }) => {
    const runtime = runtimeOf(device).wasm;
    return [...folder.precisions[dtype].files, folder.tokenizer, { name: 'runtime', url: runtime, bytes: folder.runtime[device], kept: false }];
};
const isRunning = () => running && running.device === $('device').value && running.dtype === $('precision').value && running.threads === Number($('threads').value);
const sum = (files) => files.reduce((total, file) => total + file.bytes, 0);

// Products of blocks in WebAssembly are slow: who can do nothing else there takes another device, if there is one.
const IN_BLOCKS = new Set(['q4', 'q4f16', 'int8']);
const slow = (device, dtype) => device === 'wasm' && IN_BLOCKS.has(dtype);
const isSlow = (device) => offered(folder, devices, device).every((dtype) => slow(device, dtype));

function showDevice() {
    const device = $('device').value, can = offered(folder, devices, device);
    fill($('precision'), can.map((dtype) => [dtype, `${PRECISIONS[dtype].name} · ${megabytes(folder.precisions[dtype].bytes)}`]));
    const not = Object.keys(folder.precisions).map((dtype) => [dtype, obstacle(folder, devices, device, dtype)]).filter(([, reason]) => reason);
    $('excluded').textContent = not.length ? `Not offered here: ${not.map(([dtype, reason]) => `${dtype} (${reason})`).join(', ')}.` : '';
    showPrecision();
}

function showPrecision() {
    const { device, dtype } = choice(), { files } = folder.precisions[dtype], memory = memoryOf(folder, device, dtype);
    $('note').textContent = `${slow(device, dtype) ? SLOW_IN_WASM : PRECISIONS[dtype].about}${memory ? ` Takes about ${megabytes(memory)} of memory.` : ''}`;
    const to = files.filter((file) => !file.kept);
    $('load').textContent = isRunning() ? 'Back to the text' : to.length ? `Load · ${megabytes(sum(filesNeeded(choice())))}` : 'Load from this device';
}

function showThreads() {
    const cores = isolated ? navigator.hardwareConcurrency : 1, usual = Math.min(4, Math.ceil(cores / 2));
    fill($('threads'), Array.from({ length: Math.min(cores, 16) }, (_, n) => [n + 1, n + 1]));
    $('threads').value = usual;
}

async function showKept() {
    const bytes = await keptBytes();
    $('kept').textContent = bytes ? `${megabytes(bytes)} of models are kept on this device.` : 'caches' in globalThis ? 'No model is kept on this device yet.' : 'Nothing can be kept: the page came over plain http.';
    $('forget').hidden = !bytes;
}

async function look_around() {
    [folder, devices] = await Promise.all([readFolder(), readDevices()]);
    const tokenizer = `${MODEL}tokenizer.json`, size = async (device) => [device, (await look(runtimeOf(device).wasm))?.bytes];
    folder.tokenizer = { name: 'tokenizer.json', url: tokenizer, ...((await look(tokenizer)) ?? { bytes: 0 }) };
    folder.runtime = Object.fromEntries(await Promise.all(Object.keys(devices).map(size)));
}

async function begin() {
    folder = undefined;
    try {
        await look_around();
        $('name').textContent = document.title = folder.name;
        if (!folder.writes) throw { kind: 'encoder' };
        const able = Object.keys(devices).filter((device) => folder.runtime[device] && offered(folder, devices, device).length > 0);
        if (able.length === 0) throw { kind: 'none', message: Object.keys(folder.precisions).map((dtype) => `${dtype}: ${obstacle(folder, devices, 'wasm', dtype)}`).join('\n') };
        able.sort((a, b) => isSlow(a) - isSlow(b));
        fill($('device'), able.map((device) => [device, devices[device].name]));
    } catch (error) {
        return trouble(error);
    }
    const mode = folder.chats ? 'chats' : 'continues';
    $('log').className = mode;
    $('kind').textContent = folder.chats ? 'It answers what you ask.' : 'A base model: you begin a text, and it continues.';
    $('hint').textContent = folder.chats ? 'Ask something, or begin with one of these.' : 'Begin a text, or take one of these beginnings.';
    $('prompt').placeholder = folder.chats ? 'Ask something' : 'Begin a text';
    $('prompt').setAttribute('aria-label', $('prompt').placeholder);
    $('send').setAttribute('aria-label', folder.chats ? 'Send' : 'Continue');
    $('examples').replaceChildren(...EXAMPLES[mode].map((text) => Object.assign(document.createElement('button'), { type: 'button', textContent: text, onclick: () => send(text) })));
    $('wording').value = 'varied';
    showThreads();
    showDevice();
    await showKept();
    show('setup');
}

/* ---- loading ---- */

let progress; // { files: Map of url → { bytes, loaded, cell }, seen: [{ time, loaded }] }

function showProgress() {
    const files = [...progress.files.values()], loaded = files.reduce((n, file) => n + file.loaded, 0), bytes = sum(files), now = performance.now();
    progress.seen = [...progress.seen.filter(({ time }) => now - time < 5000), { time: now, loaded }];
    const [oldest] = progress.seen, rate = (loaded - oldest.loaded) / ((now - oldest.time) / 1000);
    $('total').value = loaded / bytes;
    const left = rate > 0 ? ` · ${megabytes(rate)}/s · ${duration((bytes - loaded) / rate)} left` : '';
    $('rate').textContent = loaded < bytes ? share(loaded, bytes) + left : `${megabytes(bytes)} are here. Unpacking …`;
    for (const file of files) file.cell.textContent = share(file.loaded, file.bytes);
    if (loaded === bytes) {
        $('total').removeAttribute('value'); // how long unpacking takes, nobody knows
        clearInterval(progress.timer);
        say('All files are here. Unpacking.');
    }
}

function showLoading(needed) {
    const rows = needed.map((file) => {
        const row = document.createElement('li'), name = document.createElement('span'), cell = document.createElement('span');
        name.textContent = file.name.replace('onnx/', '');
        row.append(name, cell);
        return { row, cell, file };
    });
    $('files').replaceChildren(...rows.map(({ row }) => row));
    progress = { files: new Map(rows.map(({ file, cell }) => [file.url, { bytes: file.bytes, loaded: 0, cell }])), seen: [] };
    progress.timer = setInterval(showProgress, 200);
    showProgress();
    show('loading');
    $('cancel').focus();
    say('Loading');
}

function endWorker() {
    clearInterval(progress?.timer);
    worker?.terminate();
    worker = running = undefined;
    $('running').textContent = '';
}

function load() {
    endWorker();
    const { device, dtype } = choice(), threads = Number($('threads').value);
    showLoading(filesNeeded({ device, dtype }));
    worker = new Worker('worker.js', { type: 'module' });
    worker.addEventListener('message', ({ data }) => told[data.type](data, { device, dtype, threads }));
    worker.addEventListener('error', (event) => fail({ message: event.message || 'worker.js did not start', kind: event.message ? undefined : 'network' }));
}

function fail(error) {
    if (current) finish(current, `Stopped: ${explain(error).title}`);
    endWorker();
    trouble(error);
}

const told = {
    begun: (_, how) => worker.postMessage({ order: 'load', ...how, runtime: runtimeOf(how.device) }),
    progress({ url, loaded }) {
        const file = progress.files.get(url);
        if (file) file.loaded = loaded;
    },
    async ready({ memory }, how) {
        clearInterval(progress.timer);
        running = how;
        showRunning(memory);
        for (const file of filesNeeded(how)) file.kept = 'caches' in globalThis;
        await showKept();
        show('talk');
        $('prompt').focus();
        say('Ready');
    },
    token({ text, rate }) {
        current.reply = current.before + text;
        current.element.querySelector('.reply').textContent = current.reply;
        $('pace').textContent = rate ? `Writing · ${rate.toFixed(1)} tokens/s` : 'Writing';
        follow();
    },
    written({ reason, count, rate, first, memory }) {
        const how = { stopped: 'stopped', length: 'cut at the limit', end: '' }[reason];
        finish(current, [`${count} tokens`, rate && `${rate.toFixed(1)} tokens/s`, `first after ${seconds(first)}`, how].filter(Boolean).join(' · '), reason !== 'end');
        showRunning(memory);
    },
    failed: fail,
};

function showRunning(memory) {
    const { device, dtype, threads } = running;
    const where = device === 'wasm' ? `WebAssembly, ${threads} thread${threads > 1 ? 's' : ''}, ${megabytes(memory)}` : 'WebGPU';
    $('running').textContent = `${dtype} · ${where}`;
}

/* ---- talking ---- */

let following = true;
const atEnd = () => $('log').scrollHeight - $('log').scrollTop - $('log').clientHeight < 40;
const follow = () => following && ($('log').scrollTop = $('log').scrollHeight);

function busy(is) {
    $('send').hidden = is;
    $('stop').hidden = !is;
    $('new').disabled = $('settings').disabled = is;
    for (const button of document.querySelectorAll('.go-on')) button.disabled = is;
}

function order(exchange, request) {
    current = exchange;
    current.before = current.reply ?? '';
    current.foot.hidden = true;
    $('pace').textContent = 'Reading';
    following = true;
    follow();
    busy(true);
    say('Writing');
    worker.postMessage({ order: 'write', ...request, varied: $('wording').value === 'varied', count: $('count').valueAsNumber || 256, longest: folder.longest });
}

function finish(exchange, figures, more) {
    current = undefined;
    exchange.foot.hidden = false;
    exchange.foot.querySelector('.figures').textContent = figures;
    exchange.foot.querySelector('.copy').hidden = !exchange.reply;
    $('pace').textContent = '';
    for (const { element } of conversation) element.querySelector('.go-on').hidden = element !== exchange.element || !more;
    busy(false);
    follow();
    $('prompt').focus();
    say(exchange.reply?.slice(exchange.before.length) ?? '');
}

function send(text) {
    const element = $('exchange').content.cloneNode(true).firstElementChild, exchange = { asked: text, element, foot: element.querySelector('.foot') };
    element.querySelector('.asked').textContent = text;
    element.querySelector('.go-on').onclick = () => order(exchange, { goOn: true });
    element.querySelector('.copy').onclick = () => copy(exchange);
    $('welcome').hidden = true;
    $('log').append(element);
    conversation.push(exchange);
    const messages = conversation.flatMap(({ asked, reply }) => [{ role: 'user', content: asked }, ...(reply === undefined ? [] : [{ role: 'assistant', content: reply }])]);
    order(exchange, folder.chats ? { messages } : { text });
}

async function copy({ asked, reply }) {
    await navigator.clipboard.writeText(folder.chats ? reply : asked + reply).catch(() => {});
    say('Copied');
}

function startAnew() {
    conversation = [];
    for (const element of document.querySelectorAll('.exchange')) element.remove();
    $('welcome').hidden = false;
    $('prompt').focus();
}

const stop = () => worker?.postMessage({ order: 'stop' });

/* ---- what a person does ---- */

$('device').onchange = showDevice;
$('precision').onchange = $('threads').onchange = showPrecision;
$('choices').onsubmit = (event) => {
    event.preventDefault();
    if (isRunning()) show('talk');
    else load();
};
$('forget').onclick = async () => {
    await forget();
    await begin();
};
$('cancel').onclick = () => {
    endWorker();
    show('setup');
    $('load').focus();
};
$('again').onclick = () => (folder?.writes && $('precision').value ? load() : begin());
$('other').onclick = begin;
$('settings').onclick = () => {
    if (!$('setup').hidden) return show('talk');
    showPrecision();
    show('setup');
    $('load').focus();
};
$('new').onclick = startAnew;
$('stop').onclick = stop;
$('log').onscroll = () => (following = atEnd());
$('composer').onsubmit = (event) => {
    event.preventDefault();
    const text = folder.chats ? $('prompt').value.trim() : $('prompt').value;
    if (current || !text.trim()) return;
    $('prompt').value = '';
    send(text);
};
$('prompt').onkeydown = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $('composer').requestSubmit();
};
addEventListener('keydown', (event) => event.key === 'Escape' && current && stop());
addEventListener('unhandledrejection', (event) => {
    event.preventDefault();
    fail(event.reason);
});

// The worker is to start under the service worker's eyes, which then keeps the libraries.
async function underServiceWorker() {
    if (!navigator.serviceWorker) return;
    const taken = new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
    const done = navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.controller ?? taken);
    await Promise.race([done.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 10000))]);
}

await underServiceWorker();
await begin();
