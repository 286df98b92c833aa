"""The JSON files that make a folder a sentence-transformers model, beside the decoder's own: EmbeddingGemma's layout.

The older form is the one that EmbeddingGemma was published in; the newer one is what sentence-transformers 6 writes.
"""

MODULES = {  # path: class in the older form, class in the newer form
    "": ("sentence_transformers.models.Transformer", "sentence_transformers.base.modules.transformer.Transformer"),
    "1_Pooling": ("sentence_transformers.models.Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
    "2_Dense": ("sentence_transformers.models.Dense", "sentence_transformers.base.modules.dense.Dense"),
    "3_Dense": ("sentence_transformers.models.Dense", "sentence_transformers.base.modules.dense.Dense"),
    "4_Normalize": ("sentence_transformers.models.Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
}
PROMPTS = {
    "query": "task: search result | query: ", "document": "title: none | text: ", "Clustering": "task: clustering | query: ",
    "STS": "task: sentence similarity | query: ",
}
OTHER_MODES = ("cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def sentence_files(width, wide, newer=False):
    """{path: value}. `width` is the decoder's, `wide` that between the two dense layers; None: there are none."""
    paths = [path for path in MODULES if wide or "Dense" not in path]
    modules = [{"idx": n, "name": str(n), "path": path, "type": MODULES[path][newer]} for n, path in enumerate(paths)]
    names = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"} if newer else {}
    files = {
        "modules.json": modules,
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "6.2.0"} if newer else {"sentence_transformers": "5.1.0"},
            "default_prompt_name": None, "model_type": "SentenceTransformer", "prompts": PROMPTS, "similarity_fn_name": "cosine"},
    }
    if newer:
        files["sentence_bert_config.json"] = {
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings", "transformer_task": "feature-extraction"}
        files["1_Pooling/config.json"] = {"embedding_dimension": width, "include_prompt": True, "pooling_mode": "mean"}
        files["4_Normalize/config.json"] = names
    else:
        files["sentence_bert_config.json"] = {"do_lower_case": False, "max_seq_length": 2048}
        files["1_Pooling/config.json"] = {f"pooling_mode_{mode}": False for mode in OTHER_MODES} | {
            "include_prompt": True, "pooling_mode_mean_tokens": True, "word_embedding_dimension": width}
    for path, inputs, outputs in (("2_Dense", width, wide), ("3_Dense", wide, width)) if wide else ():
        files[f"{path}/config.json"] = names | {
            "activation_function": "torch.nn.modules.linear.Identity", "bias": False, "in_features": inputs,
            "out_features": outputs}
    return files
