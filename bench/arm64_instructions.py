#!/usr/bin/env python3
"""Counts the instructions of the arm64 products and of llama.cpp's, by reading assembly: nothing runs.

    bench/arm64_instructions.py LLAMA

LLAMA is llama.cpp's source (bench/peers.sh has it under PEERS/llama_cpp_python-*/vendor/llama.cpp). It is compiled for arm64 with
g++-12-aarch64-linux-gnu. What is printed are the instructions of the loop that multiplies a block, for a thousand multiplications:
all, and those of the vector units without loads and stores. llama.cpp's loops over superblocks have more around them, which is left out.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

KERNELS = pathlib.Path(__file__).parent.parent / "internal" / "kernel"
PER_DOT = {"sdot": 16, "smmla": 32, "usmmla": 32}


def report(name, operations):
    """operations are (mnemonic, whether vector registers take part)."""
    products = sum(PER_DOT.get(op, 0) for op, _ in operations)
    vector = sum(is_vector and not op.startswith(("ld", "st")) for op, is_vector in operations)
    print(f"{name:44} {len(operations):4} instructions, {1000 * len(operations) / products:5.0f} of all and {1000 * vector / products:4.0f} of vectors")


def own(kind, weights, columns):
    text = (KERNELS / f"matmul_{kind}_{weights}_arm64.s").read_text()
    loop = "single" if columns == 1 else f"cols{columns}"
    body = re.search(rf"\n{loop}_block:\n(.*?)\n\tSUBS \$1, R(?:6|11),", text, re.S).group(1)
    lines = [line.strip() for line in body.split("\n") if line.strip()]
    operations = [(line.split("// ")[1].split()[0], True) if line.startswith("WORD") else (line.split()[0].lower(), False) for line in lines]
    report(f"penstock {kind} {weights} of {columns} columns", operations)


def llama(source, architecture, file, function):
    """The innermost loop of a function with dot products."""
    ggml = pathlib.Path(source) / "ggml"
    with tempfile.TemporaryDirectory() as work:
        compiler, standard = ("gcc", "c11") if file.endswith(".c") else ("g++", "c++17")
        subprocess.run([f"aarch64-linux-gnu-{compiler}-12", "-O3", "-DNDEBUG", f"-std={standard}", "-D_GNU_SOURCE", f"-march=armv8.2-a+fp16+{architecture}",
                        f"-I{ggml}/include", f"-I{ggml}/src", f"-I{ggml}/src/ggml-cpu", "-S", f"{ggml}/src/ggml-cpu/arch/arm/{file}", "-o", f"{work}/out.s"], check=True)
        lines = pathlib.Path(f"{work}/out.s").read_text().split("\n")
    start = next(i for i, line in enumerate(lines) if re.match(rf"(_Z\d+)?{function}\w*:", line))
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("\t.size"))
    labels, operations, found = {}, [], []
    for line in lines[start:end]:
        if m := re.match(r"(\.L\w+):", line):
            labels[m.group(1)] = len(operations)
        elif m := re.match(r"\t([a-z]\S*)\s*(.*)", line):
            operations.append((m.group(1), bool(re.search(r"\b[vqsdh]\d+", m.group(2)))))
            target = labels.get(m.group(2).split(",")[-1].strip())
            if target is not None and any(op in PER_DOT for op, _ in operations[target:]):
                found.append(operations[target:])
    most = max(sum(op == "smmla" for op, _ in loop) for loop in found)
    report(f"llama.cpp {architecture} {function}", min((loop for loop in found if sum(op == "smmla" for op, _ in loop) == most), key=len))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for weights, name in (("q8_0", "gemv_q8_0_4x4"), ("q4_0", "gemv_q4_0_4x4"), ("q4_k", "gemv_q4_K_8x4"), ("q6_k", "gemv_q6_K_8x4"), ("q5_0", "vec_dot_q5_0_q8_0")):
        own("sdot", weights, 1)
        llama(sys.argv[1], "dotprod", "quants.c" if "vec" in name else "repack.cpp", f"ggml_{name}")
    for kind, architecture, shapes in (("sdot", "dotprod", ("4x4", "8x4")), ("smmla", "dotprod+i8mm", ("4x8", "8x8"))):
        for weights, name in (("q8_0", f"q8_0_{shapes[0]}_q8_0"), ("q4_k", f"q4_K_{shapes[1]}_q8_K"), ("q6_k", f"q6_K_{shapes[1]}_q8_K")):
            own(kind, weights, 8)
            llama(sys.argv[1], architecture, "repack.cpp", f"ggml_gemm_{name}")
        own(kind, "q4_0", 8)
        own(kind, "q5_0", 8)
