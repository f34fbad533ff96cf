package tokenizer

import (
	"bytes"
	"slices"
	"strings"
)

// trie finds the keys that begin at a place of a text. Nodes are numbered
// breadth first, so that the children of each lie side by side. The zero trie
// has no keys.
type trie struct {
	labels []byte  // [nodes] byte that leads into the node
	first  []int32 // [nodes+1] children of node n are first[n] to first[n+1]
	values []int32 // [nodes] value of the key that ends here, or -1
}

// newTrie builds a trie of keys and their values, which must not be negative.
// Of equal keys the last one counts.
func newTrie(keys []string, values []int32) trie {
	order := make([]int32, len(keys))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return strings.Compare(keys[a], keys[b]) })

	nodes, previous := 1, ""
	for _, i := range order {
		nodes += len(keys[i]) - commonPrefix(keys[i], previous)
		previous = keys[i]
	}
	t := trie{
		labels: make([]byte, 1, nodes), first: make([]int32, 0, nodes+1), values: make([]int32, 0, nodes),
	}
	// under[n] is the range of order whose keys begin with the path to node n.
	type part struct{ lo, hi, depth int32 }
	under := append(make([]part, 0, nodes), part{0, int32(len(keys)), 0})
	for n := 0; n < len(under); n++ {
		p := under[n]
		value := int32(-1)
		for p.lo < p.hi && len(keys[order[p.lo]]) == int(p.depth) {
			value = values[order[p.lo]]
			p.lo++
		}
		t.values = append(t.values, value)
		t.first = append(t.first, int32(len(under)))
		for p.lo < p.hi {
			label := keys[order[p.lo]][p.depth]
			end := p.lo + 1
			for end < p.hi && keys[order[end]][p.depth] == label {
				end++
			}
			under = append(under, part{p.lo, end, p.depth + 1})
			t.labels = append(t.labels, label)
			p.lo = end
		}
	}
	t.first = append(t.first, int32(len(under)))
	return t
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// step returns the child of a node that a byte leads to, or -1. The root is 0.
func (t *trie) step(n int32, b byte) int32 {
	lo := t.first[n]
	if i := bytes.IndexByte(t.labels[lo:t.first[n+1]], b); i >= 0 {
		return lo + int32(i)
	}
	return -1
}

// longest returns the value and the length of the longest key that s begins
// with, or -1.
func (t *trie) longest(s string) (value int32, length int) {
	value = -1
	n := int32(0)
	for i := 0; i < len(s); i++ {
		if n = t.step(n, s[i]); n < 0 {
			break
		}
		if t.values[n] >= 0 {
			value, length = t.values[n], i+1
		}
	}
	return value, length
}

// path returns how much of s leads along the trie, whether a key ends there or
// not.
func (t *trie) path(s string) int {
	n := int32(0)
	for i := range len(s) {
		if n = t.step(n, s[i]); n < 0 {
			return i
		}
	}
	return len(s)
}
