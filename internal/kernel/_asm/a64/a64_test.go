package a64

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWords: LLVM's assembler makes the same words of the instructions that are noted
// beside them. What they do is tested by running the kernels.
func TestWords(t *testing.T) {
	if _, err := exec.LookPath("llvm-mc"); err != nil {
		t.Skip("llvm-mc is missing")
	}
	files, err := filepath.Glob("../../*_arm64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no assembly for arm64: %v", err)
	}
	line := regexp.MustCompile(`WORD \$0x([0-9a-f]{8}) // (.*)`)
	words, seen := map[string]string{}, []string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			if _, known := words[m[2]]; !known {
				words[m[2]] = m[1]
				seen = append(seen, m[2])
			}
		}
	}
	cmd := exec.Command("llvm-mc", "-triple=aarch64", "-mattr=+dotprod,+i8mm,+fullfp16", "-show-encoding")
	cmd.Stdin = strings.NewReader(strings.Join(seen, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	encodings := regexp.MustCompile(`encoding: \[0x(..),0x(..),0x(..),0x(..)\]`).FindAllStringSubmatch(string(out), -1)
	if len(encodings) != len(seen) {
		t.Fatalf("%d encodings of %d instructions", len(encodings), len(seen))
	}
	for i, e := range encodings {
		if got := fmt.Sprint(e[4], e[3], e[2], e[1]); got != words[seen[i]] {
			t.Errorf("%s: the word is %s, LLVM's %s", seen[i], words[seen[i]], got)
		}
	}
	t.Logf("%d instructions", len(seen))
}
