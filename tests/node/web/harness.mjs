// What the tests of examples/web share: the page in headless Chromium, driven as a person would, and watched.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from '../../../examples/web/serve.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LIMIT = 20 * 60 * 1000; // a net: nothing that is right comes near it
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
export const NO_GPU = ['--disable-gpu'];
export const SWIFTSHADER = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan']; // a GPU in software, without shader-f16
export const prompts = Object.fromEntries(JSON.parse(readFileSync(path.join(here, '../../data/prompts.json'))).map(({ name, text }) => [name, text]));

let passed = 0, failed = 0;
export function check(name, good, message = '') {
    if (good) passed++;
    else {
        failed++;
        console.log(`FAILED ${name}: ${message}`);
    }
}

export function finish() {
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed ? 1 : 0);
}

// A browser with a profile of its own on disk: storage of a window without one lives in memory.
export async function browse(flags, words = {}) {
    const profile = mkdtempSync(path.join(tmpdir(), 'gemma-onnx-profile-'));
    const context = await chromium.launchPersistentContext(profile, { executablePath: BROWSER, args: [...FLAGS, ...flags], viewport: { width: 1280, height: 800 }, ...words });
    context.setDefaultTimeout(LIMIT);
    return { context, close: () => context.close().finally(() => rmSync(profile, { recursive: true, force: true })) };
}

// Runs in the page: what the worker tells, how far things moved by themselves, and how often a screen reader is spoken to.
function watch() {
    window.told = [];
    window.moved = 0;
    window.spoken = [];
    window.Worker = class extends Worker {
        constructor(...words) {
            super(...words);
            this.addEventListener('message', ({ data }) => data.type !== 'progress' && window.told.push(data));
        }
    };
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => entry.hadRecentInput || (window.moved += entry.value))).observe({ type: 'layout-shift', buffered: true });
    addEventListener('DOMContentLoaded', () => {
        const status = document.getElementById('status');
        new MutationObserver(() => window.spoken.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    });
}

// The page at an origin.
export class Visit {
    errors = [];
    warnings = [];
    outside = [];

    static async begin(context, origin) {
        const visit = new Visit(), page = (visit.page = await context.newPage());
        visit.origin = origin;
        page.on('console', (message) => ({ error: visit.errors, warning: visit.warnings })[message.type()]?.push(message.text()));
        page.on('pageerror', (error) => visit.errors.push(String(error)));
        page.on('crash', () => visit.errors.push('the page crashed'));
        page.on('request', (request) => /^(https?|wss?):/.test(request.url()) && !request.url().startsWith(origin) && visit.outside.push(request.url()));
        await page.addInitScript(watch);
        await page.goto(origin);
        await visit.view('setup', 'trouble');
        return visit;
    }

    // Waits for one of the views; which it is.
    view = async (...ids) => {
        await this.page.waitForSelector(ids.map((id) => `#${id}:not([hidden])`).join(', '));
        for (const id of ids) if (await this.page.isVisible(`#${id}`)) return id;
        throw new Error('a view that came and went');
    };

    told = (type) => this.page.evaluate((wanted) => window.told.filter((one) => one.type === wanted), type);

    async choose({ device = 'wasm', dtype, threads, words = 'greedy', count }) {
        await this.page.selectOption('#device', device);
        if (dtype) await this.page.selectOption('#precision', dtype, { timeout: 10000 }); // what is not offered never comes
        if (!(await this.page.isVisible('#wording'))) await this.page.click('#choices summary');
        if (threads) await this.page.selectOption('#threads', String(threads));
        await this.page.selectOption('#wording', words);
        if (count) await this.page.fill('#count', String(count));
    }

    async load(words = {}) {
        await this.choose(words);
        await this.page.click('#load');
        if ((await this.view('talk', 'trouble')) === 'trouble') throw new Error(await this.page.innerText('#trouble'));
    }

    // Types and sends; what came: { ids, text, reason, rate, first, … }.
    async write(text) {
        await this.page.locator('#prompt').focus();
        for (const [n, line] of text.split('\n').entries()) {
            if (n > 0) await this.page.keyboard.press('Shift+Enter');
            await this.page.keyboard.type(line);
        }
        return this.reply(() => this.page.keyboard.press('Enter'));
    }

    async reply(begin) {
        const [before, tokens] = await Promise.all([this.told('written'), this.told('token')]);
        await begin();
        await this.page.waitForFunction((count) => window.told.filter(({ type }) => type === 'written').length > count || !document.getElementById('trouble').hidden, before.length);
        if (await this.page.isVisible('#trouble')) throw new Error(await this.page.innerText('#trouble'));
        const own = (await this.told('token')).slice(tokens.length);
        return { ...(await this.told('written')).at(-1), ids: own.map(({ id }) => id), text: own.at(-1)?.text };
    }

    // Everything that must hold of a view, whatever is in it.
    async inspect(name) {
        const { page } = this;
        await page.evaluate(AXE);
        for (const scheme of ['light', 'dark']) {
            await page.emulateMedia({ colorScheme: scheme });
            const { violations } = await page.evaluate((dark) => axe.run(dark ? { runOnly: ['color-contrast'] } : {}), scheme === 'dark');
            const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
            check(`${name}, ${scheme}: accessible`, grave.length === 0, grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120))}`).join('\n'));
        }
        await page.emulateMedia({ colorScheme: null });
        const size = page.viewportSize();
        await page.setViewportSize({ width: 360, height: 740 });
        const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 && e.checkVisibility()).map((e) => e.id || e.className || e.tagName));
        check(`${name}: fits 360 px`, wide.length === 0, `beyond the edge: ${wide}`);
        await page.setViewportSize(size);
    }

    // Everything that must hold of a visit, whatever happened.
    async end(name, { errors = 0 } = {}) {
        check(`${name}: console errors`, this.errors.length === errors, this.errors.join('\n'));
        check(`${name}: asks no one else`, this.outside.length === 0, this.outside.join(' '));
        const moved = await this.page.evaluate(() => window.moved);
        check(`${name}: nothing moves by itself`, moved === 0, `layout shift ${moved}`);
        await this.page.close();
    }
}

export async function served(folder) {
    const server = await serve(folder, 0);
    const close = () => new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
    });
    return { origin: `http://localhost:${server.address().port}`, close };
}
