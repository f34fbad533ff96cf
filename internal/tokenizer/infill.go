package tokenizer

// Infill are the tokens of fill-in-the-middle, with which a model is shown what
// comes before and after a gap; -1: the model does not have it.
type Infill struct {
	Prefix, Suffix, Middle int32 // before the text before the gap, the text after it, and the answer
	Pad                    int32
	Repository, File       int32 // before the name of a repository, and of a file in it
}

// Complete reports whether the model can fill a gap.
func (i Infill) Complete() bool { return i.Prefix >= 0 && i.Suffix >= 0 && i.Middle >= 0 }

// Infill returns the model's tokens of fill-in-the-middle.
func (t *Tokenizer) Infill() Infill { return t.infill }

// EncodeClient returns the tokens of a text that a client wrote, in which no
// control token is recognised. As soon as it is certain that there are more than
// limit tokens, it stops with a *LimitError. There is no limit if it is 0.
func (t *Tokenizer) EncodeClient(text string, limit int) ([]int32, error) {
	return t.encode(&source{text: text, controls: true, client: []Range{{0, len(text)}}}, false, limit)
}

// infill are the tokens of fill-in-the-middle. A file names each by one of the
// keys; if it has none of the keys, the token with one of the texts is meant.
// Where ends is set, the token also ends an answer.
var infill = []struct {
	id    func(*Infill) *int32
	keys  []string
	texts []string
	ends  bool
}{
	{
		id:   func(i *Infill) *int32 { return &i.Prefix },
		keys: []string{"fim_pre_token_id", "prefix_token_id"},
		texts: []string{
			"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
			"<|code_prefix|>", "<|prefix|>",
		},
	}, {
		id:   func(i *Infill) *int32 { return &i.Suffix },
		keys: []string{"fim_suf_token_id", "suffix_token_id"},
		texts: []string{
			"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
			"<|code_suffix|>", "<|suffix|>",
		},
	}, {
		id:   func(i *Infill) *int32 { return &i.Middle },
		keys: []string{"fim_mid_token_id", "middle_token_id"},
		texts: []string{
			"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
			"<|code_middle|>", "<|middle|>",
		},
	}, {
		id:    func(i *Infill) *int32 { return &i.Pad },
		keys:  []string{"fim_pad_token_id"},
		texts: []string{"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"},
		ends:  true,
	}, {
		id:    func(i *Infill) *int32 { return &i.Repository },
		keys:  []string{"fim_rep_token_id"},
		texts: []string{"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"},
		ends:  true,
	}, {
		id:    func(i *Infill) *int32 { return &i.File },
		keys:  []string{"fim_sep_token_id"},
		texts: []string{"<|file_sep|>"},
		ends:  true,
	},
}

// assignInfill finds the tokens of fill-in-the-middle, by the file's keys or else
// by their texts.
func (v *vocabulary) assignInfill(named map[string]int32) {
	for _, role := range infill {
		id := int32(-1)
		for _, key := range role.keys {
			id = v.id(key, id)
		}
		for _, text := range role.texts {
			if id >= 0 {
				break
			}
			if found, ok := named[text]; ok {
				id = found
				v.attrs[id] |= controlToken
			}
		}
		*role.id(&v.infill) = id
		if role.ends {
			v.endsWith(id)
		}
	}
}
