package engine

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// item is one row of logits to look at.
type item struct {
	entry   int // of the plan
	row     int // of the logits
	score   bool
	target  int32 // the prompt's next token, if score
	void    bool  // there is no output: the sequence ended meanwhile
	unready bool  // nor if its constraint is not prepared
	left    int   // tokens that may follow it, for its constraint; 0: none, or there is no constraint
	slow    bool  // the constraint has been slow lately
	err     error
	out     sample.Output
	forced  []int32 // tokens that follow the one in out
}

// sampleJob is the sampling of one step, shared among the workers.
type sampleJob struct {
	e      *Engine
	plan   *sched.Plan
	logits []float32 // [rows, vocab]
	items  []item
	wait   deadline // for constraints
	next   atomic.Int32
}

func (j *sampleJob) init(e *Engine, maxLogits int) {
	j.e = e
	j.items = make([]item, maxLogits)
	tops := make([]sample.Logprob, maxLogits*sample.MaxTop)
	for i := range j.items {
		j.items[i].out.Top = tops[i*sample.MaxTop : i*sample.MaxTop : (i+1)*sample.MaxTop]
	}
	j.items = j.items[:0]
}

// sample looks at all rows of logits and leaves in e.tokens what each sequence
// gets. A sequence whose row is unusable fails alone.
func (e *Engine) sample(plan *sched.Plan, logits []float32) {
	e.job.list(plan)
	e.runJob(plan, logits)
	items := e.job.items
	e.tokens, e.starts = e.tokens[:0], append(e.starts[:0], 0)
	for i := range plan.Entries {
		for ; len(items) > 0 && items[0].entry == i; items = items[1:] {
			seq := plan.Entries[i].Seq
			switch it := &items[0]; {
			case it.err != nil && seq.Reason() == sched.Running:
				owner(seq).failure = it.err
				e.sched.Fail(seq)
			case !it.score && !it.void && !it.unready && it.err == nil:
				e.tokens = append(e.tokens, it.out.Token)
				e.tokens = append(e.tokens, it.forced...)
			}
		}
		e.starts = append(e.starts, int32(len(e.tokens)))
	}
}

// runJob samples and scores what is listed.
func (e *Engine) runJob(plan *sched.Plan, logits []float32) {
	j := &e.job
	if len(j.items) == 0 {
		return
	}
	j.plan, j.logits, j.wait = plan, logits, deadline{time.Now().Add(constraintWait)}
	e.doItems()
	for until := time.Now().Add(lonelyWait); j.starved() && time.Now().Before(until); {
		time.Sleep(constraintWait / 4)
		e.doItems()
	}
	e.constrain(j.wait)
	j.plan, j.logits = nil, nil
}

// doItems has the workers look at the items.
func (e *Engine) doItems() {
	j := &e.job
	j.next.Store(0)
	if e.run != nil && len(j.items) > 1 {
		e.run.Share(j)
	} else {
		j.Do(0, 1)
	}
}

// starved reports whether a step would have been for nothing: constraints keep
// every sequence from getting a token.
func (j *sampleJob) starved() bool {
	if len(j.items) < len(j.plan.Entries) {
		return false
	}
	for i := range j.items {
		if !j.items[i].unready {
			return false
		}
	}
	return true
}

// list makes an item of every row of logits.
func (j *sampleJob) list(plan *sched.Plan) {
	j.items = j.items[:0]
	for i := range plan.Entries {
		entry := &plan.Entries[i]
		for k := range entry.Logits() {
			n := len(j.items)
			j.items = j.items[:n+1]
			it := &j.items[n]
			it.entry, it.row, it.err, it.forced = i, entry.Logit+k, nil, nil
			it.left, it.slow, it.unready = 0, false, false
			it.void = entry.Seq.Reason() != sched.Running
			it.score = k < entry.Scored
			if it.score {
				pos := plan.Batch.Positions[plan.Batch.Logits[it.row]]
				it.target = entry.Seq.Tokens()[pos+1]
			}
		}
	}
}

// Do takes items until none is left; Runner calls it on every worker.
func (j *sampleJob) Do(worker, _ int) {
	for {
		i := int(j.next.Add(1)) - 1
		if i >= len(j.items) {
			return
		}
		if it := &j.items[i]; !it.void {
			j.one(it, j.e.workers[worker])
		}
	}
}

// one samples or scores a row. A panic, such as one in a constraint, fails this
// sequence only.
func (j *sampleJob) one(it *item, with *sample.Sampler) {
	defer func() {
		if v := recover(); v != nil {
			it.err = fmt.Errorf("%w: %v", ErrStep, v)
		}
	}()
	vocab := j.e.x.Vocab()
	x := j.logits[it.row*vocab : (it.row+1)*vocab]
	seq := j.plan.Entries[it.entry].Seq
	s := owner(seq)
	if it.score {
		it.err = with.Score(x, it.target, s.tops(), &it.out)
		return
	}
	in := sample.Input{
		Logits:  x,
		Params:  &s.request.Params,
		Rand:    &s.rnd,
		History: seq.Tokens(),
		Prompt:  seq.Prompt(),
	}
	if s.constraint == nil {
		it.err = with.Sample(in, &it.out)
		return
	}
	it.constrained(s, in, with, j.wait)
}

// constrained samples a token that the stream's constraint allows. If tokens must
// follow the sequence's last one, which was not known in time, it takes them
// instead.
func (it *item) constrained(s *Stream, in sample.Input, with *sample.Sampler, wait deadline) {
	c := s.constraint
	if it.unready = !wait.await(c.ready); it.unready {
		return
	}
	forced, err := c.take()
	if it.err = err; err != nil {
		return
	}
	if len(forced) > 0 {
		it.out = sample.Output{Token: forced[0], Top: it.out.Top[:0]}
		it.forced = forced[1:]
		return
	}
	if it.err = c.err; it.err != nil {
		return
	}
	in.Allowed = c.Allowed()
	if it.err = with.Sample(in, &it.out); it.err == nil {
		it.left = s.seq.Prompt() + s.seq.Limit() - s.seq.Len() - 1
		it.slow = c.slowest > quick
	}
}

// constrain tells the constraints what was sampled, and takes along what they say
// must follow, as far as they say so at once. Their goroutines get the processor of
// the step for that, but for the ones that are known to be slow; what is found out
// later is for the next step.
func (e *Engine) constrain(wait deadline) {
	items := e.job.items
	any := false
	for i := range items {
		if it := &items[i]; it.left > 0 && !it.slow {
			e.constraintOf(it).ask(it.out.Token, it.left)
			any = true
		}
	}
	if any {
		runtime.Gosched()
	}
	for i := range items {
		switch it := &items[i]; {
		case it.left <= 0:
		case it.slow:
			e.constraintOf(it).ask(it.out.Token, it.left)
		default:
			c := e.constraintOf(it)
			wait.await(c.known)
			it.forced, it.err = c.take()
		}
	}
}

func (e *Engine) constraintOf(it *item) *constrained {
	return owner(e.job.plan.Entries[it.entry].Seq).constraint
}
