"""check.py: compares dequantize.txt, beside it, with the decoders of the Python package gguf.

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
    data = numpy.frombuffer(bytes.fromhex(block), numpy.uint8)
    if name == "F32":
        values = data.view(numpy.float32)
    elif name == "F16":
        values = data.view(numpy.float16).astype(numpy.float32)
    else:
        values = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name])
    same = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest() == want
    print(name, "equal" if same else "DIFFERS")
    failed |= not same
sys.exit(failed)
