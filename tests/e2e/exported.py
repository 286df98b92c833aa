"""The weights that an exported file holds, read from its initializers and external data with NumPy alone."""
import re

import numpy as np
import onnx
from onnx import numpy_helper


class Exported:
    def __init__(self, path):
        self.path = path
        self.model = onnx.load(path, load_external_data=False)
        self.initializers = {i.name: i for i in self.model.graph.initializer}
        self.makers = {o: n for n in self.model.graph.node for o in n.output if o}

    # ---- bytes

    def place(self, name):
        """(file, offset, length) of an initializer in the external data; None: in the model file."""
        tensor = self.initializers[name]
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return None
        entries = {e.key: e.value for e in tensor.external_data}
        return entries["location"], int(entries.get("offset", 0)), int(entries["length"])

    def raw(self, name):
        place = self.place(name)
        if place is None:
            return self.initializers[name].raw_data
        file, offset, length = place
        with open(self.path.parent / file, "rb") as f:
            f.seek(offset)
            data = f.read(length)
        assert len(data) == length, f"{name} lies outside {file}"
        return data

    def array(self, name):
        tensor = self.initializers[name]
        if self.place(name) is None:
            return numpy_helper.to_array(tensor)
        return np.frombuffer(self.raw(name), onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).reshape(tuple(tensor.dims))

    def codes(self, name):
        """Of a uint4 or 8-bit initializer, as whole numbers."""
        tensor = self.initializers[name]
        if tensor.data_type != onnx.TensorProto.UINT4:
            return self.array(name).astype(np.float32)
        packed = np.frombuffer(self.raw(name), np.uint8)
        return np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[:np.prod(tensor.dims)].reshape(tuple(tensor.dims)).astype(np.float32)

    def constant(self, name):
        """An initializer, or what casts and products make of initializers."""
        if name in self.initializers:
            return self.array(name)
        node = self.makers[name]
        inputs = [self.constant(i) for i in node.input]
        if node.op_type == "Cast":
            return inputs[0].astype(onnx.helper.tensor_dtype_to_np_dtype(attribute(node, "to")))
        return {"Mul": np.multiply, "Sub": np.subtract}[node.op_type](*inputs)

    # ---- matrices [out, in] in fp32

    def block_matrix(self, node):
        """A MatMulNBits weight: (code - zero point) * scale; without zero points the middle of the range."""
        k, n, bits, size = (attribute(node, key) for key in ("K", "N", "bits", "block_size"))
        inputs = [self.constant(i) if i else None for i in node.input[1:4]] + [None] * (4 - len(node.input))
        return dequantise(inputs[0].reshape(n, -1), inputs[1].reshape(n, -1), inputs[2], bits, size, k)

    def linear_matrix(self, node):
        """A DequantizeLinear weight: blocks along the row, or one scale a row."""
        codes, scales = self.codes(node.input[0]), self.array(node.input[1]).astype(np.float32)
        if attribute(node, "axis") == 0:
            return codes * scales[:, None]
        size = attribute(node, "block_size")
        return (codes - np.repeat(self.codes(node.input[2]), size, axis=1)) * np.repeat(scales, size, axis=1)

    def is_product(self, node):
        return node.op_type in ("Gemm", "MatMulNBits") or self.unscaled(node) is not None

    def unscaled(self, node):
        """The product whose result this node multiplies by the rows' scales; None: it does not."""
        maker = self.makers.get(node.input[0]) if node.op_type == "Mul" else None
        return maker if maker is not None and maker.op_type == "Gemm" and maker.name == f"{node.name}/plain" else None

    def matrix(self, node):
        if node.op_type == "MatMulNBits":
            return self.block_matrix(node)
        if node.op_type == "Mul":
            return self.matrix(self.unscaled(node)) * self.array(node.input[1])[:, None]
        assert node.op_type == "Gemm" and attribute(node, "transB") == 1
        return self.weight(node.input[1])

    def weight(self, name):
        """The value `name`, a constant or dequantised in the graph, casts aside."""
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "Split":  # what fills the last block is cut off
            return self.linear_matrix(self.makers[maker.input[0]])[:, :self.array(maker.input[1])[0]]
        if maker is not None and maker.op_type == "DequantizeLinear":
            return self.linear_matrix(maker)
        if maker is not None and maker.op_type == "Cast":
            return self.weight(maker.input[0])
        return self.constant(name).astype(np.float32)

    def product(self, name):
        """Of the product whose result, casts aside, is the value `name`."""
        node = self.makers[name]
        while node.op_type == "Cast":
            node = self.makers[node.input[0]]
        return self.matrix(node)

    def integer_head(self):
        """Codes [in, out] less their zero point, scales [out], of a head with an integer product; None: another kind."""
        node = next((n for n in self.model.graph.node if n.op_type == "MatMulInteger"), None)
        if node is None:
            return None
        zero = self.constant(node.input[3]).astype(np.int64) if len(node.input) > 3 and node.input[3] else 0
        scaled = next(n for n in self.model.graph.node if n.name == "/lm_head/lm_head")
        scales = next(self.array(i) for i in scaled.input if i in self.initializers)
        return self.array(node.input[1]).astype(np.int64) - zero, scales

    def embedding(self):
        part = {i.rsplit("/", 1)[-1]: i for i in self.initializers if i.startswith("/model/embed_tokens/")}
        rows = self.array(part["rows_table"])
        if "scales_table" not in part:
            return rows.astype(np.float32)
        scales = self.array(part["scales_table"])
        if rows.dtype == np.int8:  # one scale a row
            return rows.astype(np.float32) * scales.astype(np.float32)
        if scales.shape[1] == 1 and rows.shape[1] == len(scales) and "blocks_shape" not in part:  # stored as the integer product wants it
            return (rows.T.astype(np.float32) - 128 * (rows.dtype == np.uint8)) * scales.astype(np.float32)
        zero_points = self.array(part["zero_points_table"]) if "zero_points_table" in part else None
        _, blocks, size = self.array(part["blocks_shape"])
        bits = rows.shape[1] * 8 // (blocks * size)
        return dequantise(rows, scales, zero_points, bits, size, self.hidden())

    def residual_scale(self):
        return float(next(p.value for p in self.model.metadata_props if p.key == "gemma_onnx.residual_scale"))

    def picked_experts(self, name):
        """[experts * out, in] of a table whose rows are picked."""
        values, scales = self.array(name), name.removesuffix(".table") + ".scales"
        if scales not in self.initializers:
            return values.astype(np.float32).reshape(-1, values.shape[-1])
        scales = self.array(scales)
        if values.dtype == np.int8:
            return (values.astype(np.float32) * scales.astype(np.float32)).reshape(-1, values.shape[-1])
        node = next(n for n in self.loop_nodes() if n.name.startswith(name.removesuffix(".table").replace("/experts/", "/experts/body/")) and n.op_type == "MatMulNBits")
        bits, size, columns = (attribute(node, key) for key in ("bits", "block_size", "K"))
        return dequantise(values.reshape(-1, values.shape[2] * values.shape[3]), scales.reshape(-1, scales.shape[2]), None, bits, size, columns)

    def loop_nodes(self):
        return [inner for node in self.model.graph.node if node.op_type == "Loop" for inner in attribute(node, "body").node]

    def layer_embedding(self):
        """The tables of all layers side by side."""
        tables = []
        while f"/model/layer_inputs/rows/{len(tables)}_table" in self.initializers:
            rows, scales = (f"/model/layer_inputs/{part}/{len(tables)}_table" for part in ("rows", "scales"))
            tables.append((self.array(rows), self.array(scales) if scales in self.initializers else None))
        width = self.initializers["/model/layer_inputs/projection_norm/weight"].dims[0]
        out = []
        for rows, scales in tables:
            if scales is None or rows.dtype == np.int8:
                out.append(rows.astype(np.float32) * (1 if scales is None else scales.astype(np.float32)))
            else:
                size = self.array("/model/layer_inputs/blocks_shape")[2]
                bits = rows.shape[1] * 8 // (scales.shape[1] * size)
                out.append(dequantise(rows, scales, None, bits, size, width))
        return np.concatenate(out, axis=1)

    def hidden(self):
        return next(i.dims[0] for n, i in self.initializers.items() if n in ("/lm_head/norm/weight", "/sentence/norm/weight"))

    def weights(self):
        """The matrices, and the norms in front of those that the file may have balanced against them."""
        out = {"embedding": self.embedding()}
        for node in self.model.graph.node:
            layer = re.fullmatch(r"/model/layers\.(\d+)/((?:self_attn|mlp)/\w+_proj|per_layer_\w+|laurel/(?:left|right))", node.name)
            outer = re.fullmatch(r"/model/(?:layer_inputs|altup|altup_end)/(model_projection|projections|stream\.\d+/projection)", node.name)
            if layer and self.is_product(node):
                scale = self.residual_scale() if layer[2] == "per_layer_input_gate" else 1  # it reads the scaled stream itself
                out[int(layer[1]), layer[2].replace("/", ".")] = self.matrix(node) * np.float32(scale)
            elif expert := re.fullmatch(r"/model/layers\.(\d+)/experts/(gate_up_proj|down_proj)", node.name):  # all of them on every row
                key = int(expert[1]), f"experts.{expert[2]}"
                out[key] = self.matrix(node) if expert[2] == "gate_up_proj" else self.weight(self.makers[node.input[0]].input[0])
            elif (dense := re.fullmatch(r"/sentence/dense_(\d+)", node.name)) and self.is_product(node):
                out["dense", int(dense[1])] = self.matrix(node)
            elif outer and self.is_product(node):
                out[outer[1].replace("/", ".")] = self.matrix(node)
            elif node.name == "/lm_head/lm_head" and self.is_product(node):
                out["head"] = self.matrix(node)
        for name in self.initializers:
            if layer := re.fullmatch(r"/model/layers\.(\d+)/((?:input|pre_feedforward)_layernorm)/weight", name):
                out[int(layer[1]), layer[2]] = self.array(name).astype(np.float32)
            if expert := re.fullmatch(r"/model/layers\.(\d+)/(experts)/(\w+_proj)\.table", name):
                out[int(expert[1]), f"experts.{expert[3]}"] = self.picked_experts(name)
        if "/model/layer_inputs/rows/0_table" in self.initializers:
            out["layer_embedding"] = self.layer_embedding()
        integer = self.integer_head()
        if integer:
            out["head"] = integer[0].T.astype(np.float32) * integer[1][:, None]
        return out


def attribute(node, name):
    return next(onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name)


def unpacked(packed, bits):
    """uint8 [rows, n] → codes [rows, 8n / bits], the lower bits first."""
    if bits == 8:
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1)


def dequantise(packed, scales, zero_points, bits, size, columns):
    rows, blocks = scales.shape
    codes = unpacked(packed, bits).reshape(rows, blocks, size).astype(np.float32)
    if zero_points is None:
        zero = np.full((rows, blocks), 1 << (bits - 1), np.float32)
    else:
        zero = unpacked(zero_points.reshape(rows, -1), bits)[:, :blocks].astype(np.float32)
    values = (codes - zero[:, :, None]) * scales.astype(np.float32)[:, :, None]
    return values.reshape(rows, -1)[:, :columns]
