package regex

// Multiple is the whole numbers, written in digits with any zeros in front, that
// unit divides. The empty string counts as 0. unit is from 1 to 1 << 24.
func (s *Set) Multiple(unit int) ID { return s.multiple(int32(unit), 0) }

// multiple is the digits that make a multiple of unit behind digits that left a
// remainder.
func (s *Set) multiple(unit, remainder int32) ID {
	return s.intern(node{kind: kindMultiple, aux: [2]int32{unit, remainder}, nullable: remainder == 0, definite: true})
}

func (s *Set) deriveMultiple(n node, b byte) ID {
	if b < '0' || b > '9' {
		return Empty
	}
	return s.multiple(n.aux[0], (n.aux[1]*10+int32(b-'0'))%n.aux[0])
}

// multipleDist is at most the number of digits that a multiple lacks: as many as
// unit has reach any remainder.
func multipleDist(n node) int {
	if n.nullable {
		return 0
	}
	digits := 0
	for u := n.aux[0] - 1; u > 0; u /= 10 {
		digits++
	}
	return digits
}
