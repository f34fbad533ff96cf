package sched

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print into testdata")

// TestScripts runs the sessions in testdata. Each is a list of commands, every
// one followed by ---- and what it prints:
//
//	config KEY=N…                        first command; keys are Config's and Budget's fields in lower case
//	add NAME prompt=N|LABEL:N+LABEL:N|@NAME+N [max=N] [stop=N] [class=N] [client=KEY] [salt=N] [echo] [hidden=FROM-TO]
//	force NAME=N…                        so many tokens follow each that is sampled; -1: none is given
//	draft NAME=RIGHT+WRONG…              proposes tokens for the next step: such as will be sampled, then others
//	step [N]                             N steps: Schedule, compute, Update
//	plan / update                        the two halves of a step
//	abort NAME / fail NAME
//	run                                  steps until nothing is left; prints only who ended
//	state                                queue, running, blocks, counters
//
// A prompt token depends only on its label and its index there, so prompts that
// name the same label begin alike; the default label is the name.
func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts in testdata")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s := &session{t: t}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i] + "\n")
		if i+1 >= len(lines) || lines[i+1] != "----" {
			continue
		}
		command := lines[i]
		got := s.do(strings.Fields(command))
		var want strings.Builder
		for i += 2; i < len(lines) && lines[i] != ""; i++ {
			want.WriteString(lines[i] + "\n")
		}
		if got != want.String() && !*rewrite {
			t.Fatalf("%s: %s\ngot:\n%swant:\n%s", file, command, got, want.String())
		}
		out.WriteString("----\n" + got)
		if i < len(lines) {
			out.WriteString("\n")
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// session is one scheduler and a model of the KV cache that notices wrong blocks.
type session struct {
	t      *testing.T
	s      *Scheduler
	kv     fakeKV
	plan   *Plan
	budget Budget
	seqs   map[string]*Seq
	forced map[*Seq]int
}

func (s *session) do(args []string) string {
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	switch args[0] {
	case "config":
		return s.config(args[1:])
	case "add":
		return s.add(name, args[2:])
	case "plan":
		s.plan = s.s.Schedule(s.budget)
		return describePlan(s.plan)
	case "update":
		s.update(s.plan)
		return describeFinished(s.plan)
	case "step":
		return s.steps(name)
	case "run":
		return s.run()
	case "abort":
		s.s.Abort(s.seqs[name])
		return describeEnd(s.seqs[name])
	case "fail":
		s.s.Fail(s.seqs[name])
		return describeEnd(s.seqs[name])
	case "force":
		return s.force(args[1:])
	case "draft":
		return s.draft(args[1:])
	case "state":
		return s.state()
	}
	return "unknown command\n"
}

func (s *session) config(args []string) string {
	cfg := Config{Blocks: 16, BlockSize: 4, Context: 64, MaxSeqs: 4, MaxQueue: 8, MaxRows: 64, PrefixCache: true}
	s.budget = Budget{Alone: 16, Beside: 8}
	fields := map[string]*int{
		"blocks": &cfg.Blocks, "blocksize": &cfg.BlockSize, "context": &cfg.Context, "maxseqs": &cfg.MaxSeqs,
		"maxqueue": &cfg.MaxQueue, "maxrows": &cfg.MaxRows, "alone": &s.budget.Alone, "beside": &s.budget.Beside,
		"window": &cfg.Window, "windowblocks": &cfg.WindowBlocks,
		"align": &cfg.Align, "maxlogits": &cfg.MaxLogits, "agesteps": &cfg.AgeSteps,
	}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(value)
		switch field := fields[key]; {
		case err != nil:
			return fmt.Sprintf("%s: %v\n", arg, err)
		case key == "whole":
			cfg.Whole = n != 0
		case key == "prefixcache":
			cfg.PrefixCache = n != 0
		case key == "eog":
			cfg.EOG = []int32{int32(n)}
		case field == nil:
			return fmt.Sprintf("unknown key %s\n", key)
		default:
			*field = n
		}
	}
	var err error
	if s.s, err = New(cfg); err != nil {
		return err.Error() + "\n"
	}
	s.kv = newFakeKV(cfg)
	s.seqs, s.forced = map[string]*Seq{}, map[*Seq]int{}
	return "ok\n"
}

func (s *session) add(name string, args []string) string {
	r := Request{MaxTokens: 4, Owner: name}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "prompt":
			r.Prompt = s.prompt(name, value)
		case "max":
			r.MaxTokens = n
		case "stop":
			r.Stop = append(r.Stop, int32(n))
		case "class":
			r.Priority = n
		case "client":
			r.Client = value
		case "salt":
			r.Salt = uint64(n)
		case "echo":
			r.PromptLogits = true
		case "hidden":
			from, to, _ := strings.Cut(value, "-")
			r.Hidden.From, _ = strconv.Atoi(from)
			r.Hidden.To, _ = strconv.Atoi(to)
		default:
			return fmt.Sprintf("unknown key %s\n", key)
		}
	}
	seq, err := s.s.Add(r)
	if err != nil {
		return err.Error() + "\n"
	}
	s.seqs[name] = seq
	return fmt.Sprintf("%s: %d prompt tokens, %d to generate; %d waiting\n", name, seq.Prompt(), seq.Limit(), s.s.Waiting())
}

func (s *session) force(args []string) string {
	for _, arg := range args {
		name, count, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(count)
		if err != nil || s.seqs[name] == nil {
			return fmt.Sprintf("%s: no such sequence or number\n", arg)
		}
		s.forced[s.seqs[name]] = n
	}
	return "ok\n"
}

func (s *session) draft(args []string) string {
	var b strings.Builder
	for _, arg := range args {
		name, counts, _ := strings.Cut(arg, "=")
		right, wrong, _ := strings.Cut(counts, "+")
		seq := s.seqs[name]
		if seq == nil {
			return fmt.Sprintf("%s: no such sequence\n", arg)
		}
		nright, _ := strconv.Atoi(right)
		nwrong, _ := strconv.Atoi(wrong)
		fmt.Fprintf(&b, "%s: %d kept\n", name, s.s.Draft(seq, guess(seq, nright, nwrong, 1000)))
	}
	return b.String()
}

// guess makes a draft: tokens that fakeKV will say, then wrong ones.
func guess(seq *Seq, right, wrong int, vocab int32) []int32 {
	h := digest(seq.tokens)
	var draft []int32
	for range right + wrong {
		t := int32(h%1000) % vocab
		if len(draft) >= right {
			t = (t + 1) % vocab
		}
		draft = append(draft, t)
		h = chainHash(h, draft[len(draft)-1:])
	}
	return draft
}

// update computes a plan and gives its sequences what was sampled and forced.
func (s *session) update(p *Plan) {
	var tokens []int32
	starts := []int32{0}
	s.kv.run(p)
	for i := range p.Entries {
		tokens = append(tokens, s.kv.given(p, i, 1000, func() int { return s.forced[p.Entries[i].Seq] })...)
		starts = append(starts, int32(len(tokens)))
	}
	s.s.Update(p, tokens, starts)
}

// given is what a sequence is given: what is sampled of its rows for as long as they
// agree with the draft. After each token that is sampled as many are forced as
// forced says; none is sampled if that is negative.
func (kv fakeKV) given(p *Plan, i int, vocab int32, forced func() int) (given []int32) {
	e := &p.Entries[i]
	if !e.Sample {
		return nil
	}
	first := int(p.Batch.Start[i+1]) - e.Draft - 1
	for len(given) <= e.Draft && e.Seq.agrees(given, e.Draft) == len(given) {
		n := forced()
		if n < 0 {
			break
		}
		t := kv.said[first+len(given)] % vocab
		for k := range n + 1 {
			given = append(given, (t+int32(k))%max(vocab, 1))
		}
	}
	return given
}

// update gives every sequence of a plan one token.
func update(s *Scheduler, p *Plan, tokens []int32) {
	var starts [9]int32
	for i := range starts {
		starts[i] = int32(i)
	}
	s.Update(p, tokens, starts[:])
}

// prompt makes tokens from "10", "system:8+tail:3" or "@a+tail:3", where @a is
// all of sequence a.
func (s *session) prompt(name, spec string) []int32 {
	var tokens []int32
	for part := range strings.SplitSeq(spec, "+") {
		if before, ok := strings.CutPrefix(part, "@"); ok {
			tokens = append(tokens, s.seqs[before].Tokens()...)
			continue
		}
		label, count, ok := strings.Cut(part, ":")
		if !ok {
			label, count = name, part
		}
		n, _ := strconv.Atoi(count)
		for i := range n {
			h := uint64(i)
			for _, c := range label {
				h = chainHash(h, []int32{c})
			}
			tokens = append(tokens, int32(h%100000)+1000)
		}
	}
	return tokens
}

func (s *session) steps(count string) string {
	n := 1
	if count != "" {
		n, _ = strconv.Atoi(count)
	}
	var b strings.Builder
	for i := range n {
		p := s.s.Schedule(s.budget)
		if n > 1 {
			fmt.Fprintf(&b, "step %d\n", i+1)
		}
		b.WriteString(describePlan(p))
		if len(p.Entries) > 0 {
			s.update(p)
			b.WriteString(describeFinished(p))
		}
	}
	return b.String()
}

func (s *session) run() string {
	var b strings.Builder
	for step := 1; ; step++ {
		p := s.s.Schedule(s.budget)
		for _, q := range p.Preempted {
			fmt.Fprintf(&b, "step %d: preempt %s\n", step, q.Owner)
		}
		if len(p.Entries) == 0 {
			return b.String()
		}
		if step > 10000 {
			return "no end\n"
		}
		s.update(p)
		for _, q := range p.Finished {
			fmt.Fprintf(&b, "step %d: %s", step, describeEnd(q))
		}
	}
}

func (s *session) state() string {
	var b strings.Builder
	names := func(list []*Seq) string {
		var n []string
		for _, q := range list {
			n = append(n, fmt.Sprint(q.Owner))
		}
		return strings.Join(n, " ")
	}
	c := s.s.Counters()
	fmt.Fprintf(&b, "running [%s] waiting [%s]\n", names(s.s.running), names(s.s.waiting))
	fmt.Fprintf(&b, "blocks: %d free, %d of them cached\n", s.s.FreeBlocks(), s.s.CachedBlocks())
	if w := s.s.windows; w != nil {
		fmt.Fprintf(&b, "window blocks: %d free, %d of them cached\n", w.free(), w.cached)
	}
	fmt.Fprintf(&b, "steps %d, prompt rows %d, generated %d, prefix %d/%d, preemptions %d, evictions %d\n",
		c.Steps, c.PromptRows, c.Generated, c.PrefixHit, c.PrefixQuery, c.Preemptions, c.Evictions)
	return b.String()
}

func describePlan(p *Plan) string {
	var b strings.Builder
	for _, q := range p.Preempted {
		fmt.Fprintf(&b, "preempt %s\n", q.Owner)
	}
	for _, q := range p.Admitted {
		fmt.Fprintf(&b, "admit %s", q.Owner)
		if q.computed > 0 {
			fmt.Fprintf(&b, ", %d tokens cached", q.computed)
		}
		b.WriteByte('\n')
	}
	for i, e := range p.Entries {
		pos := p.Batch.Positions[p.Batch.Start[i]]
		fmt.Fprintf(&b, "%s: rows [%d,%d) of %d in blocks %s", e.Seq.Owner, pos, int(pos)+e.Rows, e.Seq.Len(), ranges(p.Batch.Blocks[i]))
		if len(p.Batch.Windows) > 0 {
			fmt.Fprintf(&b, ", window %s", ranges(p.Batch.Windows[i]))
		}
		if e.Scored > 0 {
			fmt.Fprintf(&b, ", %d scored", e.Scored)
		}
		if e.States > 0 {
			fmt.Fprintf(&b, ", states %d", p.Batch.Hidden[e.Hidden:][:e.States])
		}
		if e.Sample {
			b.WriteString(" -> token")
		}
		if e.Draft > 0 {
			fmt.Fprintf(&b, ", draft of %d", e.Draft)
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return "idle\n"
	}
	return b.String()
}

func describeFinished(p *Plan) string {
	var b strings.Builder
	for _, e := range p.Entries {
		if e.Draft > 0 {
			fmt.Fprintf(&b, "%s: %d of %d accepted, %d tokens\n", e.Seq.Owner, e.Accepted, e.Draft, e.Taken)
		}
	}
	for _, q := range p.Finished {
		b.WriteString(describeEnd(q))
	}
	return b.String()
}

func describeEnd(q *Seq) string {
	return fmt.Sprintf("end %s: %v after %d tokens\n", q.Owner, q.Reason(), q.Len()-q.Prompt())
}

// ranges writes 0 1 2 5 as 0-2 5.
func ranges(ids []int32) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		switch {
		case ids[i] == none: // -1 -1 2 is 2
		case j == i:
			parts = append(parts, fmt.Sprint(ids[i]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", ids[i], ids[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}

// fakeKV is a cache whose entry at a position is a digest of all tokens up to
// it. A row reads the entry before its own through the block table, as attention
// would, so a block that is wrong, stale or written twice changes the tokens. Layers
// with a window have the same entries in blocks of their own.
type fakeKV struct {
	size   int
	said   []int32  // [rows] of the last plan: the token that each row gives
	slot   []uint64 // [blocks*size]
	window int
	recent []uint64 // [window blocks*size]
}

func newFakeKV(cfg Config) fakeKV {
	return fakeKV{size: cfg.BlockSize, slot: make([]uint64, cfg.Blocks*cfg.BlockSize), said: make([]int32, cfg.MaxRows),
		window: cfg.Window, recent: make([]uint64, cfg.WindowBlocks*cfg.BlockSize)}
}

// see stores the entries of a sequence's rows in its window blocks, and panics if one
// of those that some row sees is not the sequence's own.
func (kv fakeKV) see(p *Plan, i int) {
	b, tokens := &p.Batch, p.Entries[i].Seq.Drafted(p.Entries[i].Draft)
	at := func(pos int) *uint64 {
		return &kv.recent[int(b.Windows[i][pos/kv.size])*kv.size+pos%kv.size]
	}
	digests, last := make([]uint64, len(tokens)), uint64(0)
	for pos := range tokens {
		last = chainHash(last, tokens[pos:pos+1])
		digests[pos] = last
	}
	for r := b.Start[i]; r < b.Start[i+1]; r++ { // all are stored before any is read
		*at(int(b.Positions[r])) = digests[b.Positions[r]]
	}
	for r := b.Start[i]; r < b.Start[i+1]; r++ {
		pos := int(b.Positions[r])
		for seen := max(0, pos+1-kv.window); seen <= pos; seen++ {
			if *at(seen) != digests[seen] {
				panic(fmt.Sprintf("%v: position %d, which %d sees, is not its own", p.Entries[i].Seq.Owner, seen, pos))
			}
		}
	}
}

// run computes the plan and returns its tokens. It panics if a row's context is
// not what the sequence's own tokens say.
func (kv fakeKV) run(p *Plan) []int32 {
	b := &p.Batch
	tokens := make([]int32, len(p.Entries))
	for i, e := range p.Entries {
		at := func(pos int32) *uint64 {
			return &kv.slot[int(b.Blocks[i][int(pos)/kv.size])*kv.size+int(pos)%kv.size]
		}
		for r := b.Start[i]; r < b.Start[i+1]; r++ {
			pos := b.Positions[r]
			before := uint64(0)
			if pos > 0 {
				before = *at(pos - 1)
			}
			*at(pos) = chainHash(before, b.Tokens[r:r+1])
			kv.said[r] = int32(*at(pos) % 1000)
		}
		tokens[i] = kv.said[int(b.Start[i+1])-e.Draft-1]
		if kv.window > 0 {
			kv.see(p, i)
		}
		want := digest(e.Seq.Drafted(e.Draft)[:b.Positions[b.Start[i+1]-1]+1])
		if got := *at(b.Positions[b.Start[i+1]-1]); got != want {
			panic(fmt.Sprintf("%v: context of row %d is not its own", e.Seq.Owner, b.Start[i+1]-1))
		}
		if e.Sample && !slices.Contains(b.Logits, b.Start[i+1]-1) {
			panic(fmt.Sprintf("%v: no logits for the sampled row", e.Seq.Owner))
		}
	}
	return tokens
}

func digest(tokens []int32) (h uint64) {
	for i := range tokens {
		h = chainHash(h, tokens[i:i+1])
	}
	return h
}
