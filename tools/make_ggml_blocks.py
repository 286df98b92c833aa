#!/usr/bin/env python3
"""Writes tests/golden/ggml_blocks.bin: random blocks of every ggml format that is decoded, and what `gguf` makes of them.

    tools/make_ggml_blocks.py [OUTPUT]

Little endian: per format u32 ggml type, u32 blocks, u32 bytes per block, u32 elements per block; the blocks; the fp32 values. No
header, no end mark. All bits are random but for the halves that scale a block: they run through zeros, subnormals, the largest and
smallest normals and random finite numbers of both signs. Infinities and NaN are left out: no quantiser writes them. Same bytes on
every run with the version of gguf named in tools/requirements.txt.
"""

import struct
import sys
from pathlib import Path

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType

# Byte offsets of a block's halves.
HALVES = {
    Type.F32: [],
    Type.F16: [0],
    Type.BF16: [],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}

EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x7BFF, 0xFBFF, 0x3C00, 0xBC00]


def finite_halves(count: int, random: np.random.Generator) -> np.ndarray:
    """All edges first, in an order of their own, then random ones."""
    bits = random.integers(0, 1 << 16, 4 * count + 64, dtype=np.uint16)
    finite = bits[(bits & 0x7C00) != 0x7C00]
    return np.concatenate([random.permutation(EDGES).astype(np.uint16), finite])[:count]


def make_blocks(kind: Type, blocks: int, nbytes: int, random: np.random.Generator) -> np.ndarray:
    data = random.integers(0, 256, (blocks, nbytes), dtype=np.uint8)
    for offset in HALVES[kind]:
        data[:, offset : offset + 2] = finite_halves(blocks, random).astype("<u2").view(np.uint8).reshape(blocks, 2)
    if kind in (Type.F32, Type.BF16):  # the exponent's top bit cleared: no infinity, no NaN
        data[:, -1] &= 0xBF
    return data


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests/golden/ggml_blocks.bin"
    random = np.random.Generator(np.random.PCG64(20260101))
    with output.open("wb") as file:
        for kind in HALVES:
            elements, nbytes = gguf.GGML_QUANT_SIZES[kind]
            blocks = {1: 64, 32: 32, 256: 16}[elements]
            data = make_blocks(kind, blocks, nbytes, random)
            stored = data.view({Type.F32: "<f4", Type.F16: "<f2"}.get(kind, np.uint8))
            values = gguf.quants.dequantize(stored, kind).astype("<f4")
            assert values.size == blocks * elements and np.isfinite(values).all()
            file.write(struct.pack("<4I", kind, blocks, nbytes, elements))
            file.write(data.tobytes())
            file.write(values.tobytes())
    print(f"{output}: {output.stat().st_size} bytes")


main()
