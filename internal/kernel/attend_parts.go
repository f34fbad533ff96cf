package kernel

import "fmt"

// SegmentTokens is the number of positions whose softmax is computed as one part. Segments
// begin at multiples of it, counted from position 0. What a query has found in each segment
// is joined in the order of positions, so that the segments of a long context can be given
// to several workers (AttendPart) and its bits do not depend on whether they were.
//
// A join costs 1 % of a segment's time.
const SegmentTokens = 8 * attendChunk

// partExtra is what a part has beside the sums of values: peak and sum, and what fills a
// cache line.
const partExtra = 16

// PartFloats is the length of what one query has found in one segment.
func PartFloats(headDim int) int { return headDim + partExtra }

// AttendPart is Attend for one segment alone: the ranges of all queries lie in it. It does
// not write the queries' outputs. It writes what query i has found to parts, from
// i*PartFloats on, and JoinParts makes the outputs of it.
func (s Set) AttendPart(t *Tile, kv *KV, blocks []int32, scratch, parts []float32) (notFinite uint8) {
	from, end := t.check(kv, blocks, scratch)
	if from/SegmentTokens != (max(from+1, end)-1)/SegmentTokens || len(parts) < t.N*PartFloats(t.HeadDim) {
		panic(fmt.Sprintf("kernel: a part from %d to %d, %d floats for %d queries of %d", from, end, len(parts), t.N, t.HeadDim))
	}
	st := s.newAttendState(t, kv, blocks, scratch)
	s.attendSegment(&st, from, end)
	for i := range t.N {
		st.found(i).copyTo(foundIn(parts[i*PartFloats(t.HeadDim):], t.HeadDim))
	}
	return st.notFinite
}

// JoinParts writes the outputs of a tile whose queries have been computed in n segments, in
// the order of positions. The parts of a segment are pitch floats behind those of the
// segment before it. They are used up.
func (s Set) JoinParts(t *Tile, parts []float32, n, pitch int) {
	for i := range t.N {
		at := i * PartFloats(t.HeadDim)
		all := foundIn(parts[at:], t.HeadDim)
		for k := 1; k < n; k++ {
			s.join(all, foundIn(parts[at+k*pitch:], t.HeadDim))
		}
		s.finish(t, i, all)
	}
}

// found is what a query has found in some positions: the state of a running softmax. While
// sum is 0, o means nothing.
type found struct {
	o         []float32 // [hd] sum of the weighted values, relative to peak
	peak, sum *float32  // highest score; sum of the weights, relative to peak: 0 if nothing was seen
}

// found is what query i has found in the current segment.
func (st *attendState) found(i int) found {
	return found{st.o[i*MaxHeadDim:][:st.tile.HeadDim], &st.peak[i], &st.sum[i]}
}

// earlier is what query i has found in the segments before it.
func (st *attendState) earlier(i int) found {
	return found{st.before[i*MaxHeadDim:][:st.tile.HeadDim], &st.above[i], &st.passed[i]}
}

func foundIn(part []float32, headDim int) found {
	return found{part[:headDim], &part[headDim], &part[headDim+1]}
}

func (f found) copyTo(to found) {
	copy(to.o, f.o)
	*to.peak, *to.sum = *f.peak, *f.sum
}

// passSegment ends a segment: what was found in it joins what was found before, and the next
// one begins with nothing.
func (s Set) passSegment(st *attendState, first bool) {
	if first { // nothing was found before
		st.o, st.before = st.before, st.o
		st.peak, st.above = st.above, st.peak
		st.sum, st.passed = st.passed, st.sum
	} else {
		for i := range st.tile.N {
			s.join(st.earlier(i), st.found(i))
		}
	}
	st.restart()
}

// restart begins a segment: no query has found anything. The sums of values are left as they
// are, because shrink clears them at the first score.
func (st *attendState) restart() {
	for i := range st.tile.N {
		st.peak[i], st.sum[i] = noScore, 0
	}
}

// join adds to all, in place, what was found in the next segment. A segment in which a query
// sees nothing changes no bit.
func (s Set) join(all, next found) {
	if *next.sum == 0 {
		return
	}
	if *all.sum == 0 {
		next.copyTo(all)
		return
	}
	if *next.peak <= *all.peak {
		b := exp32(*next.peak - *all.peak)
		s.addScaled(all.o, next.o, b)
		*all.sum += *next.sum * b
		return
	}
	a := exp32(*all.peak - *next.peak)
	s.scaleTo(all.o, all.o, a)
	s.add(all.o, next.o)
	*all.peak, *all.sum = *next.peak, *all.sum*a+*next.sum
}

// conclude writes the outputs of a tile, of which several segments have been computed or one.
func (s Set) conclude(st *attendState, several bool) {
	for i := range st.tile.N {
		all := st.found(i)
		if several {
			s.join(st.earlier(i), all)
			all = st.earlier(i)
		}
		s.finish(st.tile, i, all)
	}
}

// finish writes the output of query i: the mean of the values by their weights, among which
// the sink is one of no value.
func (s Set) finish(t *Tile, i int, all found) {
	if *all.sum == 0 { // nothing was seen
		clear(t.Out[i])
		return
	}
	scale := 1 / *all.sum
	if t.Sinks {
		peak := max(*all.peak, t.Sink[i])
		a := exp32(*all.peak - peak)
		scale = a / (*all.sum*a + exp32(t.Sink[i]-peak))
	}
	s.scaleTo(t.Out[i], all.o, scale)
}
