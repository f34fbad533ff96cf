//go:build unix

package quantize

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestFileIsCutWhileItIsConverted: it is an error, and not the end of the process.
func TestFileIsCutWhileItIsConverted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	in, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	mix, ok := Parse("F16", true)
	if !ok {
		t.Fatal("there is no F16")
	}
	plan, err := Plan(in, mix, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if plan.Changed == 0 {
		t.Fatal("nothing is converted")
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	err = plan.Write(t.Context(), io.Discard, func(string, int64, int64) {})
	if err == nil || !strings.Contains(err.Error(), "m.gguf was cut or overwritten while it was in use") {
		t.Errorf("converting a file that was cut: %v", err)
	}
}
