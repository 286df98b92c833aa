// Greedy text of a job's prompts with a model of Transformers.js, in Node or in a page: { ids, seconds }, seconds of every decoding step.
export async function greedy({ Tensor }, model, { prompts, tokens }) {
    const row = (values) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]), found = { ids: [], seconds: [] };
    for (const prompt of prompts) {
        const times = [], streamer = { put: () => times.push(performance.now()), end() {} }; // first the prompt, then a token a call
        const output = await model.generate({ input_ids: row(prompt), attention_mask: row(prompt.map(() => 1)), max_new_tokens: tokens, do_sample: false, eos_token_id: null, streamer });
        found.ids.push(output.tolist()[0].slice(prompt.length).map(Number));
        found.seconds.push(...times.slice(2).map((time, n) => (time - times[n + 1]) / 1000));
    }
    return found;
}
