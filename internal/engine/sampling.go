package engine

import (
	"fmt"
	"runtime"
	"slices"
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
	ahead   int   // tokens of the draft that its row stands behind
	void    bool  // there is no output: the sequence ended meanwhile
	idle    bool  // nor if its row stands behind tokens that the sequence is not given
	unready bool  // nor if its constraint is not prepared
	settled bool  // it is known which tokens are forced behind it
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
	heads  []int    // items that the workers begin with
	wait   deadline // for constraints
	next   atomic.Int32
}

func (j *sampleJob) init(e *Engine, maxLogits int) {
	j.e = e
	j.items = make([]item, maxLogits)
	j.heads = make([]int, 0, maxLogits)
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
			case !it.score && it.valid():
				e.tokens = append(e.tokens, it.out.Token)
				e.tokens = append(e.tokens, it.forced...)
			}
		}
		e.starts = append(e.starts, int32(len(e.tokens)))
	}
}

// valid reports whether the item has an output.
func (it *item) valid() bool { return !it.void && !it.idle && !it.unready && it.err == nil }

// runJob samples and scores what is listed. Where a constraint has said in time what
// may follow a token that the draft has guessed, the row behind it is next.
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
	for e.constrain(j.wait); j.goOn(); e.constrain(j.wait) {
		j.wait = deadline{time.Now().Add(constraintWait)}
		e.doItems()
	}
	j.plan, j.logits = nil, nil
}

// doItems has the workers look at the items.
func (e *Engine) doItems() {
	j := &e.job
	j.next.Store(0)
	if e.run != nil && len(j.heads) > 1 {
		e.run.Share(j)
	} else {
		j.Do(0, 1)
	}
}

// starved reports whether a step would have been for nothing: constraints keep
// every sequence from getting a token.
func (j *sampleJob) starved() bool {
	if len(j.heads) < len(j.plan.Entries) {
		return false
	}
	for _, i := range j.heads {
		if !j.items[i].unready {
			return false
		}
	}
	return true
}

// list makes an item of every row of logits.
func (j *sampleJob) list(plan *sched.Plan) {
	j.items, j.heads = j.items[:0], j.heads[:0]
	for i := range plan.Entries {
		entry := &plan.Entries[i]
		for k := range entry.Logits() {
			n := len(j.items)
			j.items = j.items[:n+1]
			it := &j.items[n]
			it.entry, it.row, it.err, it.forced = i, entry.Logit+k, nil, nil
			it.left, it.slow, it.unready, it.settled = 0, false, false, false
			it.void = entry.Seq.Reason() != sched.Running
			it.score = k < entry.Scored
			it.ahead = max(0, k-entry.Scored)
			if it.idle = it.ahead > 0; !it.idle {
				j.heads = append(j.heads, n)
			}
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
		if i >= len(j.heads) {
			return
		}
		for at := j.heads[i]; at >= 0 && !j.items[at].void; at = j.behind(at) {
			j.items[at].idle = false
			j.one(&j.items[at], j.e.workers[worker])
			if j.constraintOf(&j.items[at]) != nil {
				break // what comes behind is for goOn: the constraint has to be told
			}
		}
	}
}

// constraintOf is the constraint of an item's sequence, or nil.
func (j *sampleJob) constraintOf(it *item) *constrained {
	return owner(j.plan.Entries[it.entry].Seq).constraint
}

// behind is the item whose row stands behind what an item has given its sequence, if
// the draft has guessed all of that; else -1. It waits for nobody: behind a token that
// a constraint has not settled comes nothing yet.
func (j *sampleJob) behind(at int) int {
	it, entry := &j.items[at], &j.plan.Entries[j.items[at].entry]
	next := it.ahead + 1 + len(it.forced)
	if it.score || !it.valid() || next > entry.Draft || !it.settled {
		return -1
	}
	seq := entry.Seq
	draft := seq.Drafted(next)[seq.Len()+it.ahead:]
	if draft[0] != it.out.Token || !slices.Equal(draft[1:], it.forced) {
		return -1
	}
	return at + 1 + len(it.forced)
}

// goOn makes heads of the items behind the last ones, and says whether there are any.
// Only sequences with constraints have them: a worker goes through the draft of any
// other sequence at once.
func (j *sampleJob) goOn() bool {
	n := 0
	for _, at := range j.heads {
		it := &j.items[at]
		if j.constraintOf(it) == nil {
			continue
		}
		if next := j.behind(at); next >= 0 {
			// What is forced is valid until the constraint accepts another token.
			seq := j.plan.Entries[it.entry].Seq
			it.forced = seq.Drafted(it.ahead + 1 + len(it.forced))[seq.Len()+it.ahead+1:]
			j.heads[n] = next
			n++
		}
	}
	j.heads = j.heads[:n]
	return n > 0
}

// one samples or scores a row. A panic, such as one in a constraint, fails this
// sequence only.
func (j *sampleJob) one(it *item, with *sample.Sampler) {
	seq := j.plan.Entries[it.entry].Seq
	s := owner(seq)
	defer func() {
		if v := recover(); v != nil {
			it.err = fmt.Errorf("%w: %v", ErrStep, v)
			it.postpone(s)
		}
	}()
	vocab := j.e.x.Vocab()
	x := j.logits[it.row*vocab : (it.row+1)*vocab]
	if it.err = s.late; it.err != nil {
		it.postpone(s)
		return
	}
	if it.score {
		it.err = with.Score(x, it.target, s.tops(), &it.out)
		return
	}
	in := sample.Input{
		Logits:  x,
		Params:  &s.request.Params,
		Rand:    &s.rnd,
		History: seq.Drafted(it.ahead),
		Prompt:  seq.Prompt(),
	}
	if s.constraint == nil {
		it.err = with.Sample(in, &it.out)
		it.settled = true
	} else {
		it.constrained(s, in, with, j.wait)
	}
	it.postpone(s)
}

// postpone leaves an error behind tokens of the draft to the next step, so that these
// tokens are given as they would be without a draft. The constraint may also just not
// be prepared; the next step asks again.
func (it *item) postpone(s *Stream) {
	if it.ahead > 0 && (it.err != nil || it.unready) {
		s.late, it.err, it.unready, it.idle = it.err, nil, false, true
	}
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
		it.forced, it.settled = forced[1:], true
		return
	}
	if it.err = c.err; it.err != nil {
		return
	}
	in.Allowed = c.Allowed()
	if it.err = with.Sample(in, &it.out); it.err != nil {
		return
	}
	left := s.seq.Prompt() + s.seq.Limit() - len(in.History) - 1
	if left > 0 {
		if it.forced, it.settled = c.hurry(it.out.Token, left); it.settled {
			return
		}
	}
	it.left, it.slow = left, c.slowest > quick
}

// constrain tells the constraints what was sampled, but for those that were quick about
// it, and takes along what they say must follow, as far as they say so at once. Their
// goroutines get the processor of the step for that, but for the ones that are known to
// be slow; what is found out later is for the next step.
func (e *Engine) constrain(wait deadline) {
	items, heads := e.job.items, e.job.heads
	any := false
	for _, i := range heads {
		if it := &items[i]; it.left > 0 && !it.slow {
			e.job.constraintOf(it).ask(it.out.Token, it.left)
			any = true
		}
	}
	if any {
		runtime.Gosched()
	}
	for _, i := range heads {
		switch it := &items[i]; {
		case it.left <= 0:
		case it.slow:
			e.job.constraintOf(it).ask(it.out.Token, it.left)
		default:
			s := owner(e.job.plan.Entries[it.entry].Seq)
			it.settled = wait.await(s.constraint.known)
			// The token is given even if the constraint says by now that it goes wrong
			// with it: the step may as well have ended before.
			it.forced, s.late = s.constraint.take()
		}
	}
}
