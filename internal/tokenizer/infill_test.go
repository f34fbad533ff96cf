package tokenizer

import "testing"

// The tokens of fill-in-the-middle are found by the file's keys, or by the names
// that model families gave them.
func TestInfill(t *testing.T) {
	none := Infill{-1, -1, -1, -1, -1, -1}
	for _, test := range []struct {
		name   string
		tokens []string
		keys   map[string]any
		want   Infill
	}{
		{"none", []string{"a", "b"}, nil, none},
		{"qwen", []string{"a", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}, nil, Infill{1, 3, 2, 4, 5, 6}},
		{"starcoder", []string{"<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>"}, nil, Infill{0, 2, 1, 3, -1, -1}},
		{"codellama", []string{"▁<PRE>", "▁<SUF>", "▁<MID>"}, nil, Infill{0, 1, 2, -1, -1, -1}},
		{"keys", []string{"x", "y", "z"}, map[string]any{"fim_pre_token_id": uint32(2), "fim_suf_token_id": uint32(0), "fim_mid_token_id": uint32(1)}, Infill{2, 0, 1, -1, -1, -1}},
		{"old keys", []string{"x", "y", "z"}, map[string]any{"prefix_token_id": uint32(1), "suffix_token_id": uint32(2), "middle_token_id": uint32(0)}, Infill{1, 2, 0, -1, -1, -1}},
		{"key outside", []string{"x", "y", "z"}, map[string]any{"fim_pre_token_id": uint32(9)}, none},
	} {
		meta := map[string]any{"model": "gpt2", "pre": "gpt-2", "tokens": test.tokens, "merges": []string{}}
		for key, value := range test.keys {
			meta[key] = value
		}
		tok, err := build(meta)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got := tok.Infill(); got != test.want || got.Complete() != (test.want.Prefix >= 0) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}
