package results

import (
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// Machine is where and by what a result was measured: what must be equal, or explained, before two results are compared.
type Machine struct {
	CPU     string `json:"cpu"`
	Tier    string `json:"tier"`
	Cores   int    `json:"cores"`
	Threads int    `json:"threads"` // that affinity and cgroup allow
	OS      string `json:"os"`
	Go      string `json:"go"`
}

func thisMachine() Machine {
	return Machine{CPU: cpu.Name(), Tier: cpu.Detect().String(), Cores: runtime.NumCPU(), Threads: cpu.Threads(),
		OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
}

// Record is the frame of every stored result.
type Record struct {
	Kind    string    `json:"kind"` // load, compare, layers, …
	Time    time.Time `json:"time"`
	Commit  string    `json:"commit,omitempty"`
	Machine Machine   `json:"machine"`
}

// Meta gives the frame of the result that embeds it.
func (r *Record) Meta() *Record { return r }

// NewRecord begins a result: now, by this build, on this machine.
func NewRecord(kind string) Record {
	return Record{Kind: kind, Time: time.Now().UTC().Truncate(time.Second), Commit: commit(), Machine: thisMachine()}
}

// commit names the source of this build; +changed when the work tree differed from it. Builds without version-control stamps
// ask git, if the work tree is at hand.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		revision, changed := "", ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+changed"
			}
		}
		if revision != "" {
			return revision[:min(12, len(revision))] + changed
		}
	}
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
