#!/bin/bash
# Renders the chat templates that llama.cpp ships with Python Jinja2 and with
# this package, and compares bytes. Needs python3 with venv, and a package index.
# TEMPLATES may name a directory of .jinja files to use instead of fetching.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install jinja2==3.1.6
templates=${TEMPLATES:-}
if [ -z "$templates" ]; then
	"$work/venv/bin/pip" -q download --no-deps --no-binary llama-cpp-python -d "$work" llama-cpp-python==0.3.36
	tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work" --wildcards '*/models/templates/*.jinja'
	templates=$(dirname "$(find "$work" -name 'Qwen-Qwen3-0.6B.jinja' | head -1)")
fi
"$work/venv/bin/python" "$here/reference.py" >"$work/golden.json"
cmp "$work/golden.json" "$here/golden.json" || { echo "testdata/golden.json is not what Python makes now"; exit 1; }
"$work/venv/bin/python" "$here/reference.py" "$templates" >"$work/vendor.json"
cd "$here/.."
PENSTOCK_TEMPLATES=$templates PENSTOCK_TEMPLATES_GOLDEN=$work/vendor.json go test -count=1 -tags parity -run 'TestVendor|TestTemplates|TestExpressions' . ../../server/openai
