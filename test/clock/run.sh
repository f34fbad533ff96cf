#!/usr/bin/env bash
# run.sh: tests and a server whose wall clock is set forwards and back by ten minutes, twenty times a second, while
# time itself goes on: what a machine's clock does when it is corrected, only worse. Limits, rates, pauses, histograms
# and health checks must not notice. Go's runtime is built with a time.now of its own for this (-overlay), so that no
# clock of the machine is touched. It has one for linux/amd64.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(go env GOOS GOARCH | tr '\n' /)" = linux/amd64/ ] || { echo "the clock that jumps is written for linux/amd64"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/runtime" "$work/jumps"
runtime=$(go env GOROOT)/src/runtime

# The wall clock is the monotonic one, moved to today's date, and as much again as the jump of the moment.
base=$(python3 -c 'import time; print(time.time_ns() - time.monotonic_ns())')
cat >"$work/runtime/timeasm.go" <<G
package runtime

import _ "unsafe"

//go:linkname time_now time.now
//go:nosplit
func time_now() (sec int64, nsec int32, mono int64) {
	mono = nanotime()
	wall := mono + $base
	switch mono / 50_000_000 % 4 {
	case 1:
		wall += 600_000_000_000
	case 3:
		wall -= 600_000_000_000
	}
	return wall / 1_000_000_000, int32(wall % 1_000_000_000), mono
}
G
printf '{"Replace":{"%s/timeasm.go":"%s/runtime/timeasm.go","%s/time_linux_amd64.s":""}}' "$runtime" "$work" "$runtime" >"$work/overlay.json"

cat >"$work/jumps/jumps_test.go" <<'G'
package jumps

import (
	"testing"
	"time"
)

// The clock jumps, or what follows shows nothing.
func TestJumps(t *testing.T) {
	back, start := 0, time.Now()
	for last := start; time.Since(start) < time.Second; {
		now := time.Now()
		if now.Round(0).Before(last.Round(0).Add(-time.Minute)) {
			back++
		}
		last = now
		time.Sleep(5 * time.Millisecond)
	}
	if back < 3 {
		t.Errorf("the wall clock went back %d times in a second", back)
	}
}
G
(cd "$work/jumps" && printf 'module jumps\n\ngo 1.26\n' >go.mod && go test -overlay ../overlay.json -count=1 .)
go test -overlay "$work/overlay.json" -count=1 -short ${CLOCK_PACKAGES:-./internal/engine ./internal/sched ./internal/metrics ./internal/access ./internal/instance ./internal/server/...}
if [ "${1:-}" != "" ]; then
  go build -overlay "$work/overlay.json" -o "$work/penstock" ./cmd/penstock
  test/soak/soak.py "$work/penstock" --minutes "$1" --second ""
fi
echo "clock: nothing noticed that it jumps"
