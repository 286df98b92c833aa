// Bytes that a page's process had resident at its peak; 0 where /proc does not say. browser: playwright's.
import { existsSync, readFileSync } from 'node:fs';

export async function peakOf(browser) {
    const session = await browser.newBrowserCDPSession(), { processInfo } = await session.send('SystemInfo.getProcessInfo');
    await session.detach();
    const peaks = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => {
        const status = `/proc/${id}/status`;
        return existsSync(status) ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1] ?? 0) * 1024 : 0;
    });
    return Math.max(0, ...peaks);
}
