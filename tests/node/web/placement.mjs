// Where ONNX Runtime Web places the nodes of each file on WebGPU: loads them without Transformers.js, which refuses fp16 on a GPU without it.
import { check } from './harness.mjs';

// Runs in the page.
async function open({ name, data }) {
    const ort = await import('/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs');
    const base = '/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify';
    ort.env.wasm.wasmPaths = { mjs: `${base}.mjs`, wasm: `${base}.wasm` };
    const bytes = async (file) => new Uint8Array(await (await fetch(`/model/onnx/${file}`)).arrayBuffer());
    const externalData = await Promise.all(data.map(async (file) => ({ path: file, data: await bytes(file) })));
    const session = await ort.InferenceSession.create(await bytes(name), { executionProviders: ['webgpu'], externalData, logSeverityLevel: 0, logVerbosityLevel: 1 });
    await session.release();
}

// { WebGpuExecutionProvider: ['Gemm', …], CPUExecutionProvider: […] }: the operators of the nodes placed there.
function placementsIn(lines) {
    const places = {};
    let place = null;
    for (const line of lines) {
        const header = /placed on \[(\w+)\]/.exec(line), node = /\] {2,}(\w+) \(/.exec(line);
        if (header) places[(place = header[1])] = [];
        else if (node && place) places[place].push(node[1]);
    }
    return places;
}

const tally = (names) => [...new Set(names)].map((name) => `${names.filter((one) => one === name).length} ${name}`).join(', ');

export async function placements(context, origin, files) {
    for (const { name, data } of files) {
        const page = await context.newPage(), lines = [];
        page.on('console', (message) => lines.push(message.text()));
        await page.goto(origin);
        try {
            await page.evaluate(open, { name, data });
            const places = placementsIn(lines);
            check(`${name}: loads on WebGPU`, places.WebGpuExecutionProvider?.length > 0, JSON.stringify(places).slice(0, 300));
            for (const [place, operators] of Object.entries(places)) console.log(`${name}: ${operators.length} nodes on ${place}${place.startsWith('CPU') ? `: ${tally(operators)}` : ''}`);
        } catch (error) {
            check(`${name}: loads on WebGPU`, false, error);
        }
        await page.close();
    }
}
