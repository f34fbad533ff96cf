#!/usr/bin/env bash
# vulncheck_test.sh: does `make vulncheck` work without a network? With a made-up copy of the vulnerability database, in
# the form of vuln.go.dev, it must find a hole in a function that is called, let pass one in a function that is not, and
# fail when the copy is missing. It looks at one package only, so that it takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

database() { # database NAME SYMBOL: a hole in every release of a module that the package uses
  mkdir -p "$work/$1/index" "$work/$1/ID"
  local when=2026-01-01T00:00:00Z id=GO-2026-9999 module=github.com/tinylib/msgp
  echo "{\"modified\":\"$when\"}" >"$work/$1/index/db.json"
  echo "[{\"path\":\"$module\",\"vulns\":[{\"id\":\"$id\",\"modified\":\"$when\"}]}]" >"$work/$1/index/modules.json"
  echo "[{\"id\":\"$id\",\"modified\":\"$when\",\"aliases\":[]}]" >"$work/$1/index/vulns.json"
  cat >"$work/$1/ID/$id.json" <<J
{"schema_version":"1.3.1","id":"$id","modified":"$when","published":"$when","summary":"a made-up hole","details":"made up",
 "affected":[{"package":{"name":"$module","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],
 "ecosystem_specific":{"imports":[{"path":"$module/msgp","symbols":["$2"]}]}}],"database_specific":{"url":"https://example.invalid"}}
J
}

scan() { make -s vulncheck VULNDB="file://$work/$1" VULNPKG=./internal/server/kvevents/... >"$work/out" 2>&1; }

database called AppendString
database other ReadTimeBytes
if scan called || ! grep -q GO-2026-9999 "$work/out"; then echo "a hole that is called was not found:"; cat "$work/out"; exit 1; fi
scan other || { echo "a hole that is not called was not let pass:"; cat "$work/out"; exit 1; }
if scan missing; then echo "a database that is not there was let pass:"; cat "$work/out"; exit 1; fi
echo "vulncheck: works on a copy of the database"
