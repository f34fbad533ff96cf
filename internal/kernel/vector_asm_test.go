package kernel

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wideOnly matches what a processor without AVX-512 cannot execute: wide
// registers, masks, and the upper half of the register file.
var wideOnly = regexp.MustCompile(`\b(Z[0-9]+|K[0-7]|[XY](1[6-9]|2[0-9]|3[01]))\b`)

// TestAssembly reads the generated code: a kernel of the AVX2 tier must run
// without AVX-512, and no kernel may leave the upper halves of registers dirty,
// which slows down all SSE code after it.
func TestAssembly(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var function, last string
		vectors := false
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			switch {
			case strings.HasPrefix(line, "TEXT"):
				function, vectors = line, false
			case line == "" || strings.HasPrefix(line, "//") || strings.HasSuffix(line, ":"):
				continue
			case line == "RET" && vectors && last != "VZEROUPPER":
				t.Errorf("%s:%d: RET without VZEROUPPER in %s", name, n, function)
			case strings.Contains(function, "AVX2") && wideOnly.MatchString(line):
				t.Errorf("%s:%d: %s in %s", name, n, line, function)
			}
			vectors = vectors || strings.HasPrefix(line, "V")
			last = line
		}
		if err := lines.Err(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
