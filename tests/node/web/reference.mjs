// What Transformers.js in Node makes of the same files: the ids that the page must get, too.
import path from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, Tensor, env } from '@huggingface/transformers';

env.allowRemoteModels = false;
// Kernels of 4-bit products quantise the activations in Node, and not in a browser: there, what Node holds for nearly as good will do.
const GAP = { fp32: 0, fp16: 0, q8: 0.05, q4: 0.5, q4f16: 0.5, int8: 0.05 };

const ones = (values) => new Tensor('int64', values.map(() => 1n), [1, values.length]);
const row = (values) => new Tensor('int64', values.map(BigInt), [1, values.length]);

export class Reference {
    static async of(folder) {
        env.localModelPath = path.dirname(path.resolve(folder)) + path.sep;
        const reference = new Reference();
        reference.id = path.basename(path.resolve(folder));
        reference.tokenizer = await AutoTokenizer.from_pretrained(reference.id);
        return reference;
    }

    ids = (text) => this.tokenizer(text).input_ids.tolist()[0].map(Number);
    chatIds = (messages) => this.tokenizer.apply_chat_template(messages, { add_generation_prompt: true }).input_ids.tolist()[0].map(Number);

    async open(dtype, device = 'cpu') {
        return AutoModelForCausalLM.from_pretrained(this.id, { dtype, device });
    }

    async greedy(model, ids, count) {
        const output = await model.generate({ input_ids: row(ids), attention_mask: ones(ids), max_new_tokens: count, do_sample: false });
        return output.tolist()[0].slice(ids.length).map(Number);
    }

    // How far below the best, in logits, the id is that the page took behind these.
    async gap(model, ids, taken) {
        const { logits } = await model({ input_ids: row(ids), attention_mask: ones(ids) });
        const last = logits.slice(null, -1, null).data;
        return last.reduce((best, x) => Math.max(best, x), -Infinity) - last[taken];
    }

    // null, or what is wrong with the page's ids.
    async judge(dtype, prompt, ids, count) {
        const model = await this.open(dtype);
        try {
            const wanted = await this.greedy(model, prompt, count), at = wanted.findIndex((id, n) => ids[n] !== id);
            if (at < 0) return ids.length === wanted.length ? null : `${ids.length} ids, in Node ${wanted.length}`;
            const gap = ids[at] === undefined ? Infinity : await this.gap(model, [...prompt, ...wanted.slice(0, at)], ids[at]);
            return gap < GAP[dtype] ? null : `parts from Node's at token ${at} of ${count}, ${gap} below the best: ${ids} | ${wanted}`;
        } finally {
            await model.dispose();
        }
    }
}
