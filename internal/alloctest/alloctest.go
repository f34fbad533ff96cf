// Package alloctest counts what a function allocates, for the tests of what must
// not allocate: the step loop and all that it calls.
//
// testing.AllocsPerRun counts the objects of the whole process. A helper that
// parks, the end of a garbage collection or a test beside this one add a few now
// and then, so that one measurement of few runs can say 1 for a function that
// allocates nothing. What the function itself allocates is there in every
// measurement; PerRun therefore takes the least of several.
package alloctest

import "testing"

// attempts is how often PerRun measures until it believes that f allocates.
const attempts = 5

// PerRun returns how many objects one call of f allocates on average, rounded
// down, over the given number of runs.
func PerRun(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for i := 1; i < attempts && least > 0; i++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
