// Numbers and mishaps in words.

export const megabytes = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);
// "12 / 271 MB": both in the unit of the second.
export function share(part, whole) {
    const [, unit] = megabytes(whole).split(' '), size = { kB: 1e3, MB: 1e6, GB: 1e9 }[unit];
    return `${(part / size).toFixed(unit === 'GB' ? 2 : 0)} / ${megabytes(whole)}`;
}
export const seconds = (time) => `${time < 10 ? time.toFixed(1) : Math.round(time)} s`;

export function duration(time) {
    const whole = Math.ceil(time);
    return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export const PRECISIONS = {
    q8: { name: '8-bit (q8)', about: 'Nearly the original’s text, a quarter of its bytes.' },
    fp16: { name: '16-bit (fp16)', about: 'The original’s text, half its bytes.' },
    fp32: { name: '32-bit (fp32)', about: 'The original’s numbers; the largest download.' },
    q4: { name: '4-bit (q4)', about: 'The smallest download; other words than the original’s now and then.' },
    q4f16: { name: '4-bit (q4f16)', about: 'The smallest download, with 16-bit arithmetic.' },
    int8: { name: '8-bit (int8)', about: 'Nearly the original’s text, with 8-bit arithmetic.' },
};
export const SLOW_IN_WASM = 'Slow on a processor: about a word a second.';

const OUT_OF_MEMORY = /bad_alloc|out of memory|allocation failed|memory access out of bounds|Invalid array length|Aborted\(|WebAssembly\.Memory/i;

// What went wrong and what helps: { title, remedy }.
export function explain({ kind, file, message = '' }) {
    if (kind === 'missing' && file === 'config.json')
        return { title: 'There is no model here.', remedy: 'Start the server with a folder that gemma-onnx build wrote: npm start -- FOLDER' };
    if (kind === 'missing' && !file.includes('.onnx'))
        return { title: `${file} is missing in the model folder.`, remedy: 'Build the folder again: gemma-onnx build MODEL -o FOLDER --force' };
    if (kind === 'missing')
        return { title: `${file} is missing in the model folder.`, remedy: 'Choose another precision, or build this one again: gemma-onnx build MODEL -o FOLDER -p PRECISION --force' };
    if (kind === 'network') return { title: 'The connection to the server broke.', remedy: 'See that the server runs, then try again. Files that came whole are kept.' };
    if (kind === 'encoder') return { title: 'This model reads texts, and writes none.', remedy: 'It gives sentence embeddings: docs/embeddings.md tells how to use it.' };
    if (kind === 'none') return { title: 'This device cannot run any file of this model.', remedy: 'Build a smaller precision: gemma-onnx build MODEL -o FOLDER -p q8 q4' };
    if (kind === 'long') return { title: 'The conversation is longer than the model can read.', remedy: 'Begin a new one.' };
    if (OUT_OF_MEMORY.test(message)) return { title: 'The memory did not suffice.', remedy: 'Close other tabs, or choose a precision that takes less.' };
    if (/shader-f16|requires f16|not support fp16/i.test(message)) return { title: 'This GPU has no 16-bit arithmetic.', remedy: 'Choose q4 or fp32, or run on the processor.' };
    if (/webgpu|GPUDevice|device (is|was) lost/i.test(message)) return { title: 'The graphics card gave up.', remedy: 'Run on the processor instead, or reload the page.' };
    return { title: 'Something went wrong.', remedy: 'Try again; the details below say what happened.' };
}
