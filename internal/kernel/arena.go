package kernel

import (
	"sync"
	"unsafe"

	"github.com/penstock-llm/penstock/internal/quant"
)

// arenaChunk is what an Arena asks the system for at least: virtual memory that
// costs nothing before it is written.
const arenaChunk = 64 << 20

// Arena holds the matrices of one model, and the buffers of its steps, side by
// side in huge pages. Matrices of less than a few megabytes are read up to a fifth
// faster than from pages of their own. Operations that touch a page per row, such
// as attention to a prompt, run up to twice as fast. All are freed together.
type Arena struct {
	mu     sync.Mutex
	chunks [][]byte
	free   []byte // rest of the last chunk
}

// Matrix is NewMatrix with memory of the arena; its Free does nothing. It may be
// called from several goroutines.
func (a *Arena) Matrix(t quant.Type, rows, cols int) (*Matrix, error) {
	n, err := PackedBytes(t, rows, cols)
	if err != nil {
		return nil, err
	}
	memory, err := a.bytes(n)
	if err != nil {
		return nil, err
	}
	return matrixIn(memory, t, rows, cols)
}

// Floats is a zeroed buffer of the arena.
func (a *Arena) Floats(n int) ([]float32, error) {
	b, err := a.bytes(4 * n)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4), err
}

// Panels is NewPanels with memory of the arena.
func (a *Arena) Panels(k, maxCols int, floats bool) (*Panels, error) {
	p := newPanels(k, maxCols)
	var err error
	if p.Data, err = a.bytes(p.dataBytes()); err == nil && floats {
		p.X, err = a.Floats(maxCols * k)
	}
	return p, err
}

// Space is NewSpace with memory of the arena.
func (a *Arena) Space() ([]byte, error) { return a.bytes(SpaceBytes) }

// bytes takes n zeroed bytes, aligned to a cache line.
func (a *Arena) bytes(n int) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	padded := (n + 63) &^ 63
	if padded > len(a.free) {
		chunk, err := Alloc(max(padded, arenaChunk))
		if err != nil {
			return nil, err
		}
		a.chunks = append(a.chunks, chunk)
		a.free = chunk
	}
	memory := a.free[:n:n]
	a.free = a.free[min(padded, len(a.free)):]
	return memory, nil
}

// Bytes is the memory that was handed out.
func (a *Arena) Bytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := -len(a.free)
	for _, c := range a.chunks {
		n += len(c)
	}
	return n
}

// Free gives all memory back. No matrix of the arena may be used afterwards.
func (a *Arena) Free() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var first error
	for _, c := range a.chunks {
		if err := Free(c); err != nil && first == nil {
			first = err
		}
	}
	a.chunks, a.free = nil, nil
	return first
}
