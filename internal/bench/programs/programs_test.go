package programs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseLlamaBench(t *testing.T) {
	speed, err := parseLlamaBench([]byte(`[{"n_prompt":0,"n_gen":64,"avg_ts":144.5},{"n_prompt":512,"n_gen":0,"avg_ts":342.1}]`))
	if err != nil || speed != 342.1 {
		t.Errorf("%v %v", speed, err)
	}
	for _, bad := range []string{"", "[]", "{}", `[{"n_prompt":512,"n_gen":0}]`} {
		if _, err := parseLlamaBench([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseBatched(t *testing.T) {
	b, err := parseBatched([]byte("loading\n" + `{"n_kv_max": 1024, "pp": 32, "tg": 50, "pl": 8, "n_kv": 656, "t_pp": 0.5, "speed_pp": 512.0, "t_tg": 1.5, "speed_tg": 266.7}` + "\n"))
	if err != nil || b.Sequences != 8 || b.TokensPerSecond() != 200 {
		t.Errorf("%+v %v", b, err)
	}
	for _, bad := range []string{"", "text\n", `{"pp":1}` + "\n", "{x\n"} {
		if _, err := parseBatched([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseStat(t *testing.T) {
	d, err := parseStat([]byte("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0"))
	if err != nil || d != 2*time.Second {
		t.Errorf("%v %v", d, err)
	}
	for _, bad := range []string{"", "7 (a) S 1", "7 (a) S 1 2 3 4 5 6 7 8 9 10 x y"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		ready time.Duration
		want  string
	}{
		"missing":     {[]string{"/does/not/exist"}, time.Hour, "can't be started"},
		"ends":        {[]string{"sh", "-c", "echo no such model >&2; exit 3"}, time.Hour, "no such model"},
		"never ready": {[]string{"sleep", "600"}, 300 * time.Millisecond, "not ready in time"},
	} {
		start := time.Now()
		_, err := Start(t.Context(), Spec{Name: "x", Args: c.args, URL: "http://127.0.0.1:1", Health: "/", Ready: c.ready})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if time.Since(start) > 2*time.Minute {
			t.Errorf("%s took %v", name, time.Since(start))
		}
	}
}

func TestCustom(t *testing.T) {
	if _, err := Custom("x", "server {model}", Setup{}); err == nil {
		t.Error("a command without {port} was accepted")
	}
	s, err := Custom("x", "server --m={model} -p {port} -n {slots}", Setup{Model: "a b.gguf", Slots: 8})
	if err != nil || s.Args[1] != "--m=a b.gguf" || s.Args[5] != "8" {
		t.Errorf("%q %v", s.Args, err)
	}
}

// script writes a program that stands in for the runner.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runner.sh")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenVINO(t *testing.T) {
	path := script(t, `echo "[library] noise"; echo '{"ready":true}'; read line; echo '{"tokens":400,"seconds":2}'; read line; echo '{"error":"out of memory"}'`)
	o, err := StartRunner(t.Context(), Script{"openvino", "sh", path}, "m.gguf", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Stop()
	if m, err := o.Measure(Job{Work: "batch", N: 8, Words: 30, Gen: 50}); err != nil || m.Tokens != 400 {
		t.Errorf("%+v %v", m, err)
	}
	if _, err := o.Measure(Job{}); err == nil || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("%v", err)
	}
	if _, err := o.Measure(Job{}); err == nil {
		t.Error("a runner that has ended measured something")
	}
	if _, err := StartRunner(context.Background(), Script{"vllm", "sh", script(t, `echo '{"error":"no such model"}'`)}, "m", 2); err == nil || !strings.Contains(err.Error(), "no such model") {
		t.Errorf("%v", err)
	}
}

// TestInterrupted: a program that was killed because the command was interrupted has not failed.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o, err := StartRunner(ctx, Script{"openvino", "sh", script(t, "echo '{\"ready\":true}'; read job; exec sleep 60")}, "m.gguf", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Stop()
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := o.Measure(Job{Work: "prefill", Words: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a script: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := output(ctx, "sleep", "60"); !errors.Is(err, context.Canceled) {
		t.Errorf("a program: %v", err)
	}
}
