#!/usr/bin/env bash
# schemathesis.sh PENSTOCK DIR [ARGS...]: sends requests that schemathesis makes from /openapi.json to a real server, and checks that no
# answer is a 5xx, and that status, content type and body are those of the document. DIR is where bench/peers.sh has put schemathesis.
set -euo pipefail
penstock=$(realpath "$1") dir=$(realpath "$2")
shift 2
model=$("$penstock" pull smollm2 2>/dev/null | tail -n 1)
config=$(realpath "$(dirname "$0")/schemathesis.toml")
work=$(mktemp -d)
# What the routes that fetch and remove models do stays in a directory of its own. A short context ends each answer soon.
PENSTOCK_MODELS=$work/models "$penstock" serve "$model" --addr 127.0.0.1:18099 --ctx 128 >"$work/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
"$dir/schemathesis/bin/python" - "$work" <<'PY'
import json, sys, time, urllib.request
from openapi_spec_validator import validate
for attempt in range(200):
    try:
        urllib.request.urlopen("http://127.0.0.1:18099/readyz")
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("the server is not ready: " + open(sys.argv[1] + "/log").read())
validate(json.load(urllib.request.urlopen("http://127.0.0.1:18099/openapi.json")))
print("/openapi.json is valid under the meta-schema of OpenAPI 3.1")
PY
cd "$work" # where it keeps what it has found
"$dir/schemathesis/bin/schemathesis" --config-file "$config" run http://127.0.0.1:18099/openapi.json \
  --continue-on-failure --max-examples 10 --seed 1 --request-timeout 60 --warnings off "$@"
