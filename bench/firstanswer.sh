#!/usr/bin/env bash
# firstanswer.sh: how long a newcomer waits. It clones the repository into an empty
# home, so that Go's caches and the models are empty, too, runs the README's first
# command, `make run`, and asks what the README asks until there is an answer. What is
# downloaded comes from the indexes that this machine is set up for.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$(mktemp -d)
server=
end() {
  [ -z "$server" ] || kill -- -"$server" 2>/dev/null || true
  chmod -R u+w "$home" # Go's module cache is read-only
  rm -rf "$home"
}
trap end EXIT
repository=$PWD
began=$(date +%s.%N)
since() { awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f s", b - a }'; }

# Where modules and packages come from is the machine's affair, and kept.
keep=$(go env GOPROXY GOSUMDB GONOSUMDB GOFLAGS | sed -e '1s/^/GOPROXY=/;2s/^/GOSUMDB=/;3s/^/GONOSUMDB=/;4s/^/GOFLAGS=/')
mapfile -t settings <<<"$keep"
export HOME=$home
unset GOPATH GOCACHE GOMODCACHE XDG_CACHE_HOME PENSTOCK_MODELS
git clone -q "$repository" "$home/penstock"
cd "$home/penstock"
echo "cloned after $(since)"
PORT=${PORT:-8095}
set -m
env "${settings[@]}" make run ARGS="--port $PORT" >"$home/log" 2>&1 &
server=$!
set +m
built= answer=
until [ -n "$answer" ]; do
  if [ -z "$built" ] && [ -x bin/penstock ]; then built=1 && echo "built after $(since)"; fi
  kill -0 "$server" 2>/dev/null || { cat "$home/log"; exit 1; }
  answer=$(curl -sf "http://127.0.0.1:$PORT/v1/chat/completions" -d '{"messages":[{"role":"user","content":"Why is the sky blue?"}],"max_tokens":40}' || true)
  [ -n "$answer" ] || sleep 0.2
done
echo "answered after $(since): $(cut -c1-200 <<<"$answer")"
