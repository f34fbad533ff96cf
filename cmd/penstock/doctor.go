package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	machine "github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
)

type doctorCommand struct {
	Measure bool `help:"Measure memory bandwidth, clock and int8 unit, which takes a second or two." default:"true" negatable:""`
	JSON    bool `name:"json" help:"Print JSON."`
}

// examination is what doctor finds on this machine.
type examination struct {
	CPU     string     `json:"cpu"`
	Arch    string     `json:"arch"`
	Tier    string     `json:"tier"`
	Best    string     `json:"best_tier"`
	Threads int        `json:"threads"`
	CPUs    int        `json:"cpus"`
	Online  int        `json:"online_cpus,omitempty"`
	Cores   int        `json:"cores,omitempty"`
	SMT     bool       `json:"smt"`
	Nodes   int        `json:"numa_nodes,omitempty"`
	Workers string     `json:"workers"` // where the compute threads run
	Huge    string     `json:"huge_pages,omitempty"`
	Clock   string     `json:"governor,omitempty"`
	Quota   float64    `json:"cpu_quota,omitempty"`
	Memory  uint64     `json:"memory_limit"`
	Free    uint64     `json:"memory_available,omitempty"`
	Folder  string     `json:"models"`
	Speed   *speed     `json:"measured,omitempty"`
	Plans   []planning `json:"memory_plans"`
	Advice  []string   `json:"advice"`
}

// speed is what the machine did at best, just now.
type speed struct {
	machine.Limits
	Ports float64 `json:"int8_instructions_per_cycle"` // of a core; 0: the tier has none
}

// planning is how the memory would be shared out if a model were served here with
// the usual flags.
type planning struct {
	Model   string `json:"model"`
	Default bool   `json:"default"`
	fit
	Ceiling float64 `json:"stream_tokens_per_second_at_most,omitempty"` // by memory bandwidth
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
	system := cpu.Examine()
	e := examination{
		CPU: cpu.Name(), Arch: runtime.GOARCH, Tier: tier.String(), Best: cpu.Detect().String(),
		Threads: cpu.Threads(), CPUs: runtime.NumCPU(), Quota: cpu.Quota(), Memory: cpu.MemoryLimit(), Folder: folder,
		Online: system.Online, Cores: system.Cores, SMT: system.SMT, Nodes: system.Nodes, Huge: system.HugePages, Clock: system.Governor,
		Free: system.Available, Plans: []planning{},
	}
	e.Workers = placement(cpu.Seats(e.Threads))
	if c.Measure {
		e.measure(tier)
	}
	if homeless == nil {
		if err := e.plan(cli.store(nil), tier); err != nil {
			return err
		}
	}
	e.Advice = e.advise()
	if c.JSON {
		return json.NewEncoder(term.out).Encode(e)
	}
	return e.print(term.out)
}

// measure takes the speed of memory, clock and int8 unit. How many dot products of a
// vector a core does in a cycle is its number of ports for them.
func (e *examination) measure(tier cpu.Tier) {
	const size = 256 << 20 // more would take long to get where memory is slow to come
	s := &speed{Limits: machine.Probe(tier, e.Threads, size)}
	width := map[cpu.Tier]float64{cpu.AVX2: 32, cpu.AVXVNNI: 32, cpu.AVX512VNNI: 64, cpu.DotProd: 16, cpu.I8MM: 32}[tier]
	if s.Clock > 0 && width > 0 {
		s.Ports = s.Ops / 2 / width / s.Clock / float64(e.Threads)
	}
	e.Speed = s
}

// plan says what each downloaded model would take. Decoding one stream reads all
// weights for every token, so the bandwidth bounds its speed.
func (e *examination) plan(store *hub.Store, tier cpu.Tier) error {
	stored, err := store.List()
	if err != nil {
		return err
	}
	for _, s := range stored {
		p := planning{Model: s.Name, Default: s.Name == hub.Default}
		if file, err := gguf.Open(s.Path); err != nil {
			p.Problem = plain(err).Error()
		} else {
			p.fit = fits(file, instance.Options{Tier: tier, MemoryLimit: e.Memory})
			if config, err := model.Describe(file); err == nil && !config.Encoder && e.Speed != nil && p.Weights > 0 {
				p.Ceiling = e.Speed.Bandwidth / float64(p.Weights)
			}
			file.Close()
		}
		e.Plans = append(e.Plans, p)
	}
	return nil
}

func (e *examination) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("CPU", "%s (%s)", e.CPU, e.Arch)
	kernels := e.Tier
	if e.Tier != e.Best {
		kernels += fmt.Sprintf(" (capped; this CPU can run %s)", e.Best)
	}
	row("kernels", "%s", kernels)
	threads := fmt.Sprintf("%d, on %d CPUs that this process may use", e.Threads, e.CPUs)
	if e.Online > e.CPUs {
		threads += fmt.Sprintf(" of %d", e.Online)
	}
	if e.Quota > 0 {
		threads += fmt.Sprintf("; the cgroup's quota is %.3g CPUs", e.Quota)
	}
	row("threads", "%s", threads)
	if e.Cores > 0 {
		smt := "one CPU a core"
		if e.SMT {
			smt = "some with two CPUs (SMT)"
		}
		row("cores", "%d, %s; %d NUMA node(s)", e.Cores, smt, max(e.Nodes, 1))
	}
	row("workers", "%s", e.Workers)
	if e.Clock != "" {
		row("governor", "%s", e.Clock)
	}
	if e.Huge != "" {
		row("huge pages", "%s", e.Huge)
	}
	memory := "unknown: give --memory-limit"
	if e.Memory > 0 {
		memory = bytesText(e.Memory) + " (the machine's or the cgroup's limit)"
	}
	if e.Free > 0 {
		memory += fmt.Sprintf(", %s of the machine's are free", bytesText(e.Free))
	}
	row("memory", "%s", memory)
	if s := e.Speed; s != nil {
		row("bandwidth", "%.1f GB/s read by %d thread(s)", s.Bandwidth/1e9, e.Threads)
		row("clock", "%.2f GHz, all threads busy", s.Limits.Clock/1e9)
		if s.Ops > 0 {
			row("int8 unit", "%.0f GOPS; %.1f vector instructions a cycle and core", s.Ops/1e9, s.Ports)
		}
	}
	row("models", "%s", e.Folder)
	if err := table.Flush(); err != nil {
		return err
	}
	if err := e.printPlans(out); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, a := range e.Advice {
		fmt.Fprintln(out, "-", a)
	}
	if len(e.Advice) == 0 {
		fmt.Fprintln(out, "nothing to change")
	}
	return nil
}

// placement says how many compute threads run on each node, and what they are bound to.
func placement(seats []cpu.Seat) string {
	nodes := seats[len(seats)-1].Node + 1
	on := make([]int, nodes)
	for _, s := range seats {
		on[s.Node]++
	}
	where := "one node"
	if nodes > 1 {
		where = fmt.Sprintf("%d nodes (%s)", nodes, strings.Trim(fmt.Sprint(on), "[]"))
	}
	last := seats[len(seats)-1].CPUs
	switch {
	case last == nil:
		return fmt.Sprintf("%d on %s, where the system puts them", len(seats), where)
	case len(seats) > 1 && !slices.Equal(last, seats[len(seats)-2].CPUs):
		return fmt.Sprintf("%d on %s, each bound to a core", len(seats), where)
	}
	return fmt.Sprintf("%d on %s, bound to their node's CPUs", len(seats), where)
}

func (e *examination) printPlans(out io.Writer) error {
	if len(e.Plans) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "\nMODEL\tWEIGHTS\tBUFFERS\tKV CACHE\tCONTEXT"
	if e.Speed != nil {
		head += "\tONE STREAM"
	}
	fmt.Fprintln(table, head)
	for _, p := range e.Plans {
		if p.Problem != "" {
			fmt.Fprintf(table, "%s\tcannot be served here: %s\n", p.Model, p.Problem)
			continue
		}
		stream := ""
		if p.Ceiling > 0 {
			stream = fmt.Sprintf("\tat most %.0f tokens/s", p.Ceiling)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tup to %s\t%d tokens%s\n", p.Model, bytesText(p.Weights), bytesText(p.Buffers), bytesText(p.Cache), p.Context, stream)
	}
	return table.Flush()
}

// advise says what to change on this machine, the most important first.
func (e *examination) advise() []string {
	advice := []string{}
	add := func(when bool, format string, args ...any) {
		if when {
			advice = append(advice, fmt.Sprintf(format, args...))
		}
	}
	add(e.Tier != e.Best, "--cpu or PENSTOCK_CPU caps the kernels at %s: without it they are %s", e.Tier, e.Best)
	add(e.Best == cpu.Generic.String(), "this processor runs the portable kernels only, which are many times slower: x86 processors with AVX2 have faster ones")
	add(e.Nodes > 1, "the memory has %d nodes, and the workers of each read their own part of the weights: compare with a server on each (numactl --cpunodebind=N --membind=N penstock serve …) and a balancer before them", e.Nodes)
	add(e.SMT && e.Threads > e.Cores, "two CPUs share a core: measure with --threads %d, one a core, too (penstock bench steps)", e.Cores)
	add(e.Quota > 0 && e.Quota != float64(int(e.Quota)), "the quota of %.3g CPUs is not whole: compute threads wait for the rest of it in every period", e.Quota)
	add(e.Huge == "never", "huge pages are off, which makes reading weights slower: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
	add(e.Clock == "powersave" || e.Clock == "conservative", "the clock is governed by %q: cpupower frequency-set -g performance", e.Clock)
	defaults := false
	for _, p := range e.Plans {
		defaults = defaults || p.Default
		need := p.Weights + p.Buffers + p.Cache
		add(p.Problem == "" && e.Free > 0 && need > e.Free, "%s would take up to %s, and %s are free: end other programs, or limit it with --kv-memory",
			p.Model, bytesText(need), bytesText(e.Free))
	}
	add(!defaults, "the default model is not on this machine: `penstock pull %s` fetches it", hub.Default)
	return advice
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
