package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// TestAssembly reads every assembly file for amd64 as text and refuses what a processor
// of the function's tier can not execute or executes slowly; complaints says
// what that is.
func TestAssembly(t *testing.T) {
	files, err := filepath.Glob("*.s")
	if err != nil {
		t.Fatal(err)
	}
	functions := map[cpu.Tier]int{}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_arm64.s") })
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range parseAssembly(string(text)) {
			for _, c := range f.complaints() {
				t.Errorf("%s: %s", file, c)
			}
			if tier, ok := f.tier(); ok {
				functions[tier]++
			}
		}
	}
	// Every product of a weight format, and most other kernels, exist on both tiers. The
	// one between has products of quantised weights, some of which are packed alike.
	const floatsAndAlike = 5
	want := map[cpu.Tier]int{cpu.AVX2: len(allTypes()), cpu.AVX512VNNI: len(allTypes()), cpu.AVXVNNI: len(allTypes()) - floatsAndAlike}
	for tier, most := range want {
		if functions[tier] < most {
			t.Errorf("%d functions of tier %v: the test does not see the others", functions[tier], tier)
		}
	}
}

// asmFunction is one TEXT of an assembly file.
type asmFunction struct {
	name     string
	requires []string // instruction sets, as the generator found them
	lines    []asmLine
}

// asmLine is an instruction, or a label if opcode is empty.
type asmLine struct {
	number           int // in the file, from 1
	opcode, operands string
}

// parseAssembly cuts a file into functions.
func parseAssembly(text string) []asmFunction {
	var all []asmFunction
	var requires []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if list, ok := strings.CutPrefix(line, "// Requires: "); ok {
			requires = strings.Split(list, ", ")
			continue
		}
		opcode, operands, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "#"), opcode == "DATA", opcode == "GLOBL":
		case opcode == "TEXT":
			name, _, _ := strings.Cut(strings.TrimPrefix(operands, "·"), "(")
			all = append(all, asmFunction{name: name, requires: requires})
			requires = nil
		case strings.HasSuffix(line, ":"):
			last := &all[len(all)-1]
			last.lines = append(last.lines, asmLine{number: i + 1})
		case strings.HasPrefix(opcode, "BYTE"):
			last := &all[len(all)-1]
			last.lines = append(last.lines, asmLine{i + 1, "BYTE", line})
		default:
			last := &all[len(all)-1]
			last.lines = append(last.lines, asmLine{i + 1, opcode, strings.TrimSpace(operands)})
		}
	}
	return all
}

// The names say the tier: dotQ8AVX2, avx2Q4_0, vnniQ4_0, quantizePanelVNNI.
var (
	avx2Name   = regexp.MustCompile(`^avx2|AVX2$`)
	vexName    = regexp.MustCompile(`^avxVNNI|AVXVNNI$`)
	avx512Name = regexp.MustCompile(`^vnni|AVX512$|VNNI$`)
)

// scalarFunctions are those that every amd64 processor can run.
var scalarFunctions = []string{"pause", "vecPrefetch", "ceilingChain"}

func (f *asmFunction) tier() (cpu.Tier, bool) {
	switch {
	case avx2Name.MatchString(f.name):
		return cpu.AVX2, true
	case vexName.MatchString(f.name):
		return cpu.AVXVNNI, true
	case avx512Name.MatchString(f.name):
		return cpu.AVX512VNNI, true
	}
	return cpu.Generic, slices.Contains(scalarFunctions, f.name)
}

// tierSets are the instruction sets that a tier may use: those that cpu.Detect
// asks for, and what they include. MMX+ is the generator's name for prefetches,
// which every amd64 processor has.
var tierSets = map[cpu.Tier][]string{
	cpu.Generic:    {"MMX+"},
	cpu.AVX2:       {"MMX+", "AVX", "AVX2", "FMA3", "F16C", "POPCNT"},
	cpu.AVXVNNI:    {"MMX+", "AVX", "AVX2", "FMA3", "F16C", "POPCNT", "AVX_VNNI"},
	cpu.AVX512VNNI: {"MMX+", "AVX", "AVX2", "FMA3", "F16C", "POPCNT", "AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL", "AVX512VNNI"},
}

var (
	vectorRegister = regexp.MustCompile(`\b[XYZ][0-9]+\b`)
	maskRegister   = regexp.MustCompile(`\bK[0-7]\b`)
	// wideOnly matches the registers that a processor without AVX-512 lacks.
	wideOnly = regexp.MustCompile(`\b(Z[0-9]+|K[0-7]|[XY](1[6-9]|2[0-9]|3[01]))\b`)
)

// scalarOpcodes are the instructions on general registers that the kernels use.
// Anything that is not here and has no V or K in front is refused: it may be an
// SSE instruction.
var scalarOpcodes = strings.Fields(`
	ADDQ SUBQ INCQ DECQ NEGQ ANDQ IMULQ IMUL3Q ORQ XORQ SHLQ SHRQ LEAQ MOVQ MOVL MOVLQSX XCHGQ POPCNTL CMPQ TESTQ
	JMP JB JEQ JGE JLE JLT JNE JNZ JP JZ RET PAUSE PREFETCHT0 PREFETCHT1 PREFETCHT2`)

// complaints lists what is wrong with a function:
//   - its name does not say its tier, or it needs more than the tier has;
//   - an SSE instruction, one without the VEX or EVEX encoding that a V in front
//     stands for: among instructions of 256 or 512 bits it stalls an Intel core
//     for more than a hundred cycles;
//   - a return that leaves the upper halves of vector registers in use, which
//     slows down all SSE code that follows.
func (f *asmFunction) complaints() (all []string) {
	tier, known := f.tier()
	if !known {
		return []string{fmt.Sprintf("%s: the name says no tier", f.name)}
	}
	complain := func(l asmLine, what string) {
		all = append(all, fmt.Sprintf("line %d: %s: %s %s: %s", l.number, f.name, l.opcode, l.operands, what))
	}
	for _, set := range f.requires {
		if !slices.Contains(tierSets[tier], set) {
			all = append(all, fmt.Sprintf("%s: requires %s, which tier %v lacks", f.name, set, tier))
		}
	}
	vectors := slices.ContainsFunc(f.lines, func(l asmLine) bool { return vectorRegister.MatchString(l.operands) })
	if vectors && (tier == cpu.Generic || len(f.requires) == 0) {
		all = append(all, fmt.Sprintf("%s: vector registers in a function that requires no instruction set", f.name))
	}
	var before string
	for _, l := range f.lines {
		switch {
		case l.opcode == "": // a jump may come to a label, past what is before it
		case l.opcode == "RET":
			if vectors && before != "VZEROUPPER" {
				complain(l, "no VZEROUPPER directly before it")
			}
		case l.opcode == "BYTE":
			if got := vexDot(l.operands); tier != cpu.AVXVNNI || !strings.HasSuffix(l.operands, got) {
				complain(l, "the bytes are "+got)
			}
		case strings.HasPrefix(l.opcode, "V"):
		case vectorRegister.MatchString(l.operands):
			complain(l, "SSE: no VEX or EVEX encoding")
		case strings.HasPrefix(l.opcode, "K") && maskRegister.MatchString(l.operands):
		case !slices.Contains(scalarOpcodes, l.opcode):
			complain(l, "unknown instruction")
		}
		if tier != cpu.AVX512VNNI && (wideOnly.MatchString(l.operands) || strings.Contains(l.opcode, ".")) {
			complain(l, "needs AVX-512")
		}
		before = l.opcode
	}
	return all
}

// vexDot decodes a line of bytes that is VPDPBUSD of 256 bits with a VEX prefix, and
// names it in the order of Go's assembler.
func vexDot(line string) string {
	var b [5]byte
	const form = "BYTE $%v; BYTE $%v; BYTE $%v; BYTE $%v; BYTE $%v"
	if _, err := fmt.Sscanf(line, form, &b[0], &b[1], &b[2], &b[3], &b[4]); err != nil {
		return "no instruction: " + err.Error()
	}
	extended := func(bit int) byte { return ^b[1] >> bit & 1 << 3 } // of an inverted bit
	memory, vvvv := b[4] < 0xc0, ^b[2]>>3&15
	if b[0] != 0xc4 || b[1]&0x5f != 0x42 || b[2]&0x87 != 5 || b[3] != 0x50 || memory {
		return "another instruction"
	}
	return fmt.Sprintf("// VPDPBUSD Y%d, Y%d, Y%d", extended(5)|b[4]&7, vvvv, extended(7)|b[4]>>3&7)
}

// TestAssemblyComplaints shows the check one mistake of each kind.
func TestAssemblyComplaints(t *testing.T) {
	const end = "\n\tVZEROUPPER\n\tRET\n"
	for _, c := range []struct{ name, text, want string }{
		{"a good function", "// Requires: AVX\nTEXT ·vecAddAVX2(SB), NOSPLIT, $0-8\n\tVADDPS Y0, Y1, Y2" + end, ""},
		{"load of an argument", "// Requires: AVX, SSE\nTEXT ·vecAddAVX512(SB)\n\tMOVSS c+24(FP), X0" + end, "MOVSS c+24(FP), X0: SSE"},
		{"the generator's own finding", "// Requires: AVX, SSE\nTEXT ·vecAddAVX512(SB)\n\tVADDPS Z0, Z1, Z2" + end, "requires SSE"},
		{"store of a result", "// Requires: AVX\nTEXT ·dotQ8AVX2(SB)\n\tMOVSS X0, ret+24(FP)" + end, "SSE"},
		{"unaligned load", "// Requires: AVX\nTEXT ·dotQ8AVX2(SB)\n\tMOVUPS (AX), X0" + end, "SSE"},
		{"general to vector register", "// Requires: AVX\nTEXT ·dotQ8AVX2(SB)\n\tMOVQ AX, X3" + end, "SSE"},
		{"zero", "// Requires: AVX\nTEXT ·dotQ8AVX2(SB)\n\tPXOR X3, X3" + end, "SSE"},
		{"state of the vector unit", "// Requires: AVX\nTEXT ·dotQ8AVX2(SB)\n\tLDMXCSR (AX)" + end, "unknown instruction"},
		{"a wide register in avx2", "// Requires: AVX\nTEXT ·avx2Q4_0(SB)\n\tVADDPS Z0, Z1, Z2" + end, "needs AVX-512"},
		{"the upper registers in avx2", "// Requires: AVX\nTEXT ·avx2Q4_0(SB)\n\tVADDPS Y0, Y17, Y2" + end, "needs AVX-512"},
		{"a mask in avx2", "// Requires: AVX\nTEXT ·avx2Q4_0(SB)\n\tKMOVQ K1, AX" + end, "needs AVX-512"},
		{"broadcast from memory in avx2", "// Requires: AVX\nTEXT ·avx2Q4_0(SB)\n\tVADDPS.BCST (AX), Y1, Y2" + end, "needs AVX-512"},
		{"narrow AVX-512 in avx2", "// Requires: AVX512VL\nTEXT ·avx2Q4_0(SB)\n\tVPDPBUSD Y0, Y1, Y2" + end, "requires AVX512VL"},
		{"too new for the tier", "// Requires: AVX512BITALG\nTEXT ·vnniQ4_0(SB)\n\tVPOPCNTB Z0, Z1" + end, "requires AVX512BITALG"},
		{"AVX-VNNI", "// Requires: AVX, AVX_VNNI\nTEXT ·avxVNNIQ4_0(SB)\n\tBYTE $0xc4; BYTE $0x42; BYTE $0x0d; BYTE $0x50; BYTE $0xc7 // VPDPBUSD Y15, Y14, Y8" + end, ""},
		{"AVX-VNNI in avx2", "// Requires: AVX\nTEXT ·avx2Q4_0(SB)\n\tBYTE $0xc4; BYTE $0x42; BYTE $0x0d; BYTE $0x50; BYTE $0xc7 // VPDPBUSD Y15, Y14, Y8" + end, "the bytes are"},
		{"bytes of other registers", "// Requires: AVX, AVX_VNNI\nTEXT ·avxVNNIQ4_0(SB)\n\tBYTE $0xc4; BYTE $0x42; BYTE $0x0d; BYTE $0x50; BYTE $0xc6 // VPDPBUSD Y15, Y14, Y8" + end, "Y14, Y14, Y8"},
		{"bytes of something else", "// Requires: AVX, AVX_VNNI\nTEXT ·avxVNNIQ4_0(SB)\n\tBYTE $0xc4; BYTE $0x42; BYTE $0x0d; BYTE $0x51; BYTE $0xc6 // VPDPBUSD Y15, Y14, Y8" + end, "another instruction"},
		{"no list of sets", "TEXT ·vnniQ4_0(SB)\n\tVPOPCNTB Z0, Z1" + end, "requires no instruction set"},
		{"no tier", "TEXT ·matmulQ4_0(SB)\n\tRET\n", "says no tier"},
		{"vectors without a tier", "TEXT ·pause(SB)\n\tVADDPS Y0, Y1, Y2" + end, "requires no instruction set"},
		{"dirty return", "// Requires: AVX\nTEXT ·vecAddAVX2(SB)\n\tVADDPS Y0, Y1, Y2\n\tRET\n", "no VZEROUPPER"},
		{"dirty return by a jump", "// Requires: AVX\nTEXT ·vecAddAVX2(SB)\n\tVADDPS Y0, Y1, Y2\n\tVZEROUPPER\nout:\n\tRET\n", "no VZEROUPPER"},
		{"one dirty return of two", "// Requires: AVX\nTEXT ·vecAddAVX2(SB)\n\tRET\n\tVADDPS Y0, Y1, Y2" + end, "line 3: vecAddAVX2: RET : no VZEROUPPER"},
	} {
		var got []string
		for _, f := range parseAssembly(c.text) {
			got = append(got, f.complaints()...)
		}
		if all := strings.Join(got, "\n"); c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%s: complaints %q, want %q", c.name, got, c.want)
		}
	}
}
