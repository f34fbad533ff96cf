package results

import (
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// Machine describes where a result was measured. Results of different machines are not compared.
type Machine struct {
	CPU     string `json:"cpu"`
	Tier    string `json:"tier"`
	Cores   int    `json:"cores"`
	Threads int    `json:"threads"` // as many as CPU affinity and cgroup allow
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

// Meta returns the record itself. Results embed a Record and so have this method.
func (r *Record) Meta() *Record { return r }

// NewRecord makes the record of a result that is measured now, by this build, on this machine.
func NewRecord(kind string) Record {
	return Record{Kind: kind, Time: time.Now().UTC().Truncate(time.Second), Commit: commit(), Machine: thisMachine()}
}

// commit is the commit that this program was built from, with +changed if the source differed from it. A build without that information
// asks git in the current folder.
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
