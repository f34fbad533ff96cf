"""check.py: compares dequantize.txt, beside it, with the decoders and grids of the Python package gguf.

    pip install gguf==0.19.0 && python internal/quant/testdata/check.py
"""
import hashlib
import pathlib
import sys

import gguf
import numpy

failed = False
for line in (pathlib.Path(__file__).parent / "dequantize.txt").read_text().splitlines():
    if line.startswith("#"):
        continue
    name, block, *_, want = line.split()
    if name == "grid":
        quants = getattr(gguf.quants, block)
        quants.init_grid()
        same = hashlib.sha256(quants.grid.astype(numpy.uint8).tobytes()).hexdigest() == want
        print("grid", block, "equal" if same else "DIFFERS")
        failed |= not same
        continue
    data = numpy.frombuffer(bytes.fromhex(block), numpy.uint8)
    if name == "F32":
        values = data.view(numpy.float32)
    elif name == "F16":
        values = data.view(numpy.float16).astype(numpy.float32)
    elif name in ("Q1_0", "Q2_0"):  # which the package does not decode
        d, q = data[:2].view(numpy.float16).astype(numpy.float32), data[2:]
        if name == "Q1_0":
            values = numpy.where(numpy.unpackbits(q, bitorder="little"), d, -d)
        else:
            values = d * ((q[:, None] >> numpy.array([0, 2, 4, 6], numpy.uint8) & 3).flatten().astype(numpy.float32) - 1)
    else:
        values = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name])
    same = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest() == want
    print(name, "equal" if same else "DIFFERS")
    failed |= not same
sys.exit(failed)
