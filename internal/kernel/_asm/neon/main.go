// Command neon generates the operations on vectors, the attention kernels and weave for
// arm64. A step of the loops is four registers: 16 floats.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

func main() {
	dir := flag.String("dir", "..", "where the package kernel is")
	flag.Parse()
	for name, emit := range map[string]func(*vector){"vector_arm64.s": vectors, "attend_arm64.s": attention, "weave_arm64.s": weave} {
		k := &vector{Asm: a64.New()}
		emit(k)
		if err := os.WriteFile(filepath.Join(*dir, name), []byte(k.String()), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// step is the registers that a round of a loop takes.
const step = 4

// vector emits functions. Their arguments are in the registers of their places.
type vector struct{ *a64.Asm }

const tmp a64.R = 15

// loop emits body for as many rounds as are in a register, unless that is 0, and moves
// the pointers behind what a round takes.
func (k *vector) loop(rounds a64.R, body func(), pointers ...a64.R) {
	k.Op("CBZ R%d, done", rounds)
	k.Label("loop")
	body()
	for _, p := range pointers {
		k.Op("ADD $%d, R%d", 16*step, p)
	}
	k.Op("SUBS $1, R%d, R%d", rounds, rounds)
	k.Op("BNE loop")
	k.Label("done")
}

// loads loads a step from r to v and the next.
func (k *vector) loads(v a64.V, r a64.R) {
	for i := range a64.V(step / 2) {
		k.LoadPair(v+2*i, r, int(32*i))
	}
}

func (k *vector) stores(v a64.V, r a64.R) {
	for i := range a64.V(step / 2) {
		k.StorePair(v+2*i, r, int(32*i))
	}
}

// each emits body for every register of a step.
func each(body func(i a64.V)) {
	for i := range a64.V(step) {
		body(i)
	}
}

// pointers loads the first arguments into the registers of their places.
func (k *vector) pointers(names ...string) {
	for i, name := range names {
		k.Arg(name, a64.R(i))
	}
}

// total leaves the sum of a step of sums in the first lane of the first.
func (k *vector) total(v a64.V) {
	k.Fadd(v, v, v+1)
	k.Fadd(v+2, v+2, v+3)
	k.Fadd(v, v, v+2)
	k.Faddp(v, v, v)
	k.Faddp(v, v, v)
}
