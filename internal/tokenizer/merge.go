package tokenizer

import (
	"iter"
	"sync"
)

// noSymbol is a symbol that no merge knows.
const noSymbol = -1

// joiner says what two neighbouring symbols become. Of all pairs the one of the
// lowest rank is joined first, of equal ranks the leftmost.
type joiner interface {
	// join returns the symbol that left and right, which cover text, become,
	// or noSymbol.
	join(left, right int32, text string) (symbol int32, rank uint32)
}

// merger holds the memory of one merge: the symbols of a text as a linked list,
// and the pairs that could join as a heap. Both BPE and SentencePiece merge like
// this, so that n symbols take time n log n, however they fall.
type merger struct {
	nodes []node
	pairs queue // rank<<32 | index of the left node
}

type node struct {
	prev, next int32 // indices, -1 at the ends
	start      int32 // offset in the text; the symbol ends where the next one starts
	symbol     int32
	joined     int32  // what it becomes together with the next one, or noSymbol
	rank       uint32 // of joined
}

// maxPooled is the size beyond which a merger's memory is given back.
const maxPooled = 1 << 16

// reset empties the merger for another text.
func (m *merger) reset() {
	m.nodes = m.nodes[:0]
	m.pairs = m.pairs[:0]
}

// release returns the merger to its pool, unless it has grown beyond all bounds.
func (m *merger) release(pool *sync.Pool) {
	if cap(m.nodes) <= maxPooled && cap(m.pairs) <= maxPooled {
		pool.Put(m)
	}
}

// add appends a symbol that begins at text offset start.
func (m *merger) add(symbol int32, start int) {
	n := int32(len(m.nodes))
	m.nodes = append(m.nodes, node{prev: n - 1, next: n + 1, start: int32(start), symbol: symbol, joined: noSymbol})
}

// run joins pairs until no two neighbours can be joined. There must be at least
// one symbol.
func (m *merger) run(text string, j joiner) {
	m.nodes[len(m.nodes)-1].next = -1
	for i := range m.nodes {
		m.consider(int32(i), text, j)
	}
	m.pairs.order()
	for len(m.pairs) > 0 {
		key := m.pairs.pop()
		i := int32(uint32(key))
		left := &m.nodes[i]
		if left.joined == noSymbol || left.rank != uint32(key>>32) {
			continue // one of the two has changed since
		}
		right := &m.nodes[left.next]
		left.symbol = left.joined
		left.next = right.next
		right.joined = noSymbol
		if left.next >= 0 {
			m.nodes[left.next].prev = i
		}
		if m.consider(i, text, j) {
			m.pairs.sift()
		}
		if left.prev >= 0 && m.consider(left.prev, text, j) {
			m.pairs.sift()
		}
	}
}

// consider looks up what node i and its right neighbour become; it appends them
// to the pairs, out of order, if they join.
func (m *merger) consider(i int32, text string, j joiner) bool {
	left := &m.nodes[i]
	left.joined = noSymbol
	if left.next < 0 {
		return false
	}
	right := &m.nodes[left.next]
	left.joined, left.rank = j.join(left.symbol, right.symbol, text[left.start:m.end(right, text)])
	if left.joined == noSymbol {
		return false
	}
	m.pairs = append(m.pairs, uint64(left.rank)<<32|uint64(uint32(i)))
	return true
}

// all yields the symbols that are left, in order, and the text of each.
func (m *merger) all(text string) iter.Seq2[int32, string] {
	return func(yield func(int32, string) bool) {
		for i := int32(0); i >= 0; {
			n := &m.nodes[i]
			if !yield(n.symbol, text[n.start:m.end(n, text)]) {
				return
			}
			i = n.next
		}
	}
}

// end returns the text offset at which a node's symbol ends.
func (m *merger) end(n *node, text string) int {
	if n.next < 0 {
		return len(text)
	}
	return int(m.nodes[n.next].start)
}

// queue is a binary min-heap.
type queue []uint64

// order makes a heap of unordered values.
func (q queue) order() {
	for i := len(q)/2 - 1; i >= 0; i-- {
		q.down(i)
	}
}

// sift moves the value that was appended to its place.
func (q queue) sift() {
	i := len(q) - 1
	v := q[i]
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent] <= v {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = v
}

// pop removes the least value.
func (q *queue) pop() uint64 {
	h := *q
	least := h[0]
	last := len(h) - 1
	h[0] = h[last]
	*q = h[:last]
	if last > 0 {
		q.down(0)
	}
	return least
}

func (q queue) down(i int) {
	v := q[i]
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1] < q[child] {
			child++
		}
		if v <= q[child] {
			break
		}
		q[i] = q[child]
		i = child
	}
	q[i] = v
}
