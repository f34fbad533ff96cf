// Command matmul generates the matrix kernels: one assembly file per weight
// format and tier, and the quantiser of the activations. The layouts that they
// read are described in package kernel, pack.go and panel.go.
//
// A kernel is a loop over groups of 16 rows, over blocks of 32 values, and for
// each number of columns a copy of that loop. What differs between formats is
// in formats.go (how a block unpacks to bytes and its scales to float32); what
// differs between tiers is in vnni.go, avx2.go and avx2_values.go, neon.go and mmla.go; unfold.go,
// pair.go and pair_halves.go have a second family for processors that do two VPDPBUSD a cycle.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

func main() {
	dir := flag.String("dir", "..", "where the package kernel is")
	flag.Parse()
	log.SetFlags(0)
	table, err := geometries()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range formats {
		g, ok := table[f.name]
		if !ok {
			log.Fatalf("format %s has no geometry in package kernel", f.name)
		}
		f.geometry = g
	}
	for name, emit := range files() {
		text, err := assemble(emit)
		if err == nil {
			err = os.WriteFile(filepath.Join(*dir, name), text, 0o644)
		}
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
	}
	for name, emit := range armFiles() {
		a := a64.New()
		emit(a)
		if err := os.WriteFile(filepath.Join(*dir, name), []byte(a.String()), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// armFiles is files for arm64.
func armFiles() map[string]func(*a64.Asm) {
	all := map[string]func(*a64.Asm){"panel_quantize_arm64.s": quantizeNEON, "ceiling_arm64.s": armCeilings, "matmul_float_arm64.s": func(a *a64.Asm) {
		for _, f := range floatFormats {
			neonFloatKernel(a, f)
		}
	}}
	for _, f := range formats {
		name := strings.ToLower(f.name) + "_arm64.s"
		all["matmul_sdot_"+name] = func(a *a64.Asm) { neonKernel(a, f, false) }
		all["matmul_smmla_"+name] = func(a *a64.Asm) { neonKernel(a, f, true) }
	}
	return all
}

// files is what to write and how.
func files() map[string]func(*asm) {
	all := map[string]func(*asm){
		"panel_quantize_amd64.s": func(a *asm) {
			quantizeKernel(a, "quantizeVNNI", quantizeVNNI)
			quantizeKernel(a, "quantizeAVX2", quantizeAVX2)
			quantizePanelKernel(a)
		},
		"matmul_float_amd64.s": func(a *asm) {
			for _, t := range []floatTier{floatAVX512, floatAVX2} {
				for _, f := range floatFormats {
					floatKernel(a, t, f)
				}
			}
		},
	}
	for s, name := range shapes {
		all["matmul_pair_"+strings.ToLower(name)+"_amd64.s"] = func(a *asm) { pairKernel(a, shape(s)) }
	}
	for _, f := range avx2Pairs() {
		name := strings.ToLower(strings.TrimPrefix(f.pairName(), "avx2Pair")) + "_amd64.s"
		all["matmul_avx2_pair_"+name] = func(a *asm) { avx2PairKernel(a, f) }
	}
	for _, f := range formats {
		name := strings.ToLower(f.name) + "_amd64.s"
		all["matmul_vnni_"+name] = func(a *asm) { vnniKernel(a, f) }
		all["matmul_unfold_"+name] = func(a *asm) {
			unfoldKernel(a, f)
			if f.paired() {
				avx2UnfoldKernel(a, f)
			}
		}
		all["matmul_avx2_"+name] = func(a *asm) { avx2Kernel(a, f, false) }
		all["matmul_avxvnni_"+name] = func(a *asm) { avx2Kernel(a, f, true) }
	}
	return all
}

// assemble returns the text of a file.
func assemble(emit func(*asm)) ([]byte, error) {
	a := &asm{Context: build.NewContext(), consts: map[uint32]operand.Mem{}, repeats: map[uint32]operand.Mem{}, levels: map[bool]operand.Mem{}}
	a.ConstraintExpr("!purego")
	emit(a)
	file, err := a.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, err
	}
	return printer.NewGoAsm(printer.Config{Argv: []string{"go", "generate"}, Pkg: "kernel"}).Print(file)
}

// asm is a build context with a few shorthands.
type asm struct {
	*build.Context
	consts, repeats map[uint32]operand.Mem
	levels          map[bool]operand.Mem // made on first use, of levels with a sign or without
	order           *operand.Mem         // the same
}

// begin starts a function without a frame.
func (a *asm) begin(name, signature, doc string) {
	a.Function(name)
	a.Attributes(attr.NOSPLIT)
	a.SignatureExpr(signature)
	a.Doc(doc)
}

// param loads an argument; it may be done anywhere in the function.
func (a *asm) param(name string, r reg.Register) { a.Load(a.Param(name), r) }

// argument is where an argument is in memory.
func (a *asm) argument(name string) operand.Mem {
	b, err := a.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// constant is a read-only dword.
func (a *asm) constant(v uint32) operand.Mem {
	m, ok := a.consts[v]
	if !ok {
		m = a.ConstData(fmt.Sprintf("dword_%08x", v), operand.U32(v))
		a.consts[v] = m
	}
	return m
}

// at is an address relative to a register.
func at(r reg.Register, disp int) operand.Mem { return operand.Mem{Base: r, Disp: disp} }

// dwords is a read-only table.
func (a *asm) dwords(name string, values ...uint32) operand.Mem {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return a.ConstData(name, operand.String(b))
}
