// Package invariants switches expensive self-checks on: with the build tag
// invariants, and in every race build. It holds one constant and no checks; the
// packages that own an invariant check it themselves:
//
//	if invariants.Enabled {
//		s.check()
//	}
package invariants
