package grammar

// slab hands out memory for many small lists that are kept for as long as the slab.
type slab[T any] struct {
	left []T
	next int // length of the next piece
}

// The lengths of a slab's pieces: each one is twice as long as the one before.
const (
	firstPiece = 256
	lastPiece  = 1 << 13
)

// take returns a list of n items, which are zero.
func (s *slab[T]) take(n int) []T {
	if len(s.left) < n {
		s.next = min(max(firstPiece, 2*s.next), lastPiece)
		s.left = make([]T, max(n, s.next))
	}
	list := s.left[:n:n]
	s.left = s.left[n:]
	return list
}

func (s *slab[T]) clone(list []T) []T {
	c := s.take(len(list))
	copy(c, list)
	return c
}
