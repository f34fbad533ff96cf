package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"text/tabwriter"

	"github.com/penstock-llm/penstock/internal/cpu"
)

type doctorCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *doctorCommand) Run(cli *commands, term terminal) error {
	tier, err := cli.tier()
	if err != nil {
		return err
	}
	models, err := cli.folder()
	if err != nil {
		return err
	}
	report := struct {
		CPU     string `json:"cpu"`
		Arch    string `json:"arch"`
		Tier    string `json:"tier"`
		Best    string `json:"best_tier"`
		Threads int    `json:"threads"`
		CPUs    int    `json:"cpus"`
		Memory  uint64 `json:"memory_limit"`
		Models  string `json:"models"`
	}{cpu.Name(), runtime.GOARCH, tier.String(), cpu.Detect().String(), cpu.Threads(), runtime.NumCPU(), cpu.MemoryLimit(), models}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(report)
	}
	kernels := report.Tier
	if report.Tier != report.Best {
		kernels += fmt.Sprintf(" (capped; this CPU can run %s)", report.Best)
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "CPU\t%s (%s)\n", report.CPU, report.Arch)
	fmt.Fprintf(table, "kernels\t%s\n", kernels)
	fmt.Fprintf(table, "threads\t%d, of %d CPUs (by affinity mask and cgroup quota)\n", report.Threads, report.CPUs)
	fmt.Fprintf(table, "memory\t%s (by cgroup or machine)\n", bytesText(report.Memory))
	fmt.Fprintf(table, "models\t%s\n", report.Models)
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
