package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/instance"
)

type doctorCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// examination is what doctor finds on this machine.
type examination struct {
	CPU     string     `json:"cpu"`
	Arch    string     `json:"arch"`
	Tier    string     `json:"tier"`
	Best    string     `json:"best_tier"`
	Threads int        `json:"threads"`
	CPUs    int        `json:"cpus"`
	Quota   float64    `json:"cpu_quota,omitempty"`
	Memory  uint64     `json:"memory_limit"`
	Folder  string     `json:"models"`
	Plans   []planning `json:"memory_plans"`
}

// planning is how the memory would be shared out if a model were served here with
// the usual flags.
type planning struct {
	Model string `json:"model"`
	fit
}

func (c *doctorCommand) Run(cli *commands, term terminal) error {
	tier, err := cli.tier()
	if err != nil {
		return err
	}
	folder, homeless := cli.folder()
	if homeless != nil {
		folder = "none: set --models"
	}
	e := examination{
		CPU: cpu.Name(), Arch: runtime.GOARCH, Tier: tier.String(), Best: cpu.Detect().String(),
		Threads: cpu.Threads(), CPUs: runtime.NumCPU(), Quota: cpu.Quota(), Memory: cpu.MemoryLimit(), Folder: folder,
		Plans: []planning{},
	}
	var stored []hub.Stored
	if homeless == nil {
		if stored, err = cli.store(nil).List(); err != nil {
			return err
		}
	}
	for _, s := range stored {
		p := planning{Model: s.Name}
		if file, err := gguf.Open(s.Path); err != nil {
			p.Problem = plain(err).Error()
		} else {
			p.fit = fits(file, instance.Options{Tier: tier, MemoryLimit: e.Memory})
			file.Close()
		}
		e.Plans = append(e.Plans, p)
	}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(e)
	}
	return e.print(term.out)
}

func (e *examination) print(out io.Writer) error {
	kernels := e.Tier
	if e.Tier != e.Best {
		kernels += fmt.Sprintf(" (capped; this CPU can run %s)", e.Best)
	}
	threads := fmt.Sprintf("%d, on %d CPUs that this process may use", e.Threads, e.CPUs)
	if e.Quota > 0 {
		threads += fmt.Sprintf("; the cgroup's quota is %.3g CPUs", e.Quota)
	}
	memory := "unknown: give --memory-limit"
	if e.Memory > 0 {
		memory = bytesText(e.Memory) + " (the machine's or the cgroup's limit)"
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "CPU\t%s (%s)\nkernels\t%s\nthreads\t%s\nmemory\t%s\nmodels\t%s\n", e.CPU, e.Arch, kernels, threads, memory, e.Folder)
	if err := table.Flush(); err != nil {
		return err
	}
	if len(e.Plans) == 0 {
		return nil
	}
	fmt.Fprintln(table, "\nMODEL\tWEIGHTS\tBUFFERS\tKV CACHE\tCONTEXT")
	for _, p := range e.Plans {
		if p.Problem != "" {
			fmt.Fprintf(table, "%s\tcannot be served here: %s\n", p.Model, p.Problem)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tup to %s\t%d tokens\n", p.Model, bytesText(p.Weights), bytesText(p.Buffers), bytesText(p.Cache), p.Context)
	}
	return table.Flush()
}

// tier is the kernel tier to use: the machine's best, capped by --cpu.
func (cli *commands) tier() (cpu.Tier, error) {
	best := cpu.Detect()
	if cli.CPU == "" {
		return best, nil
	}
	want, err := cpu.ParseTier(cli.CPU)
	if err != nil {
		return 0, &usageError{fmt.Errorf("--cpu: %w", err), "penstock"}
	}
	return min(want, best), nil
}
