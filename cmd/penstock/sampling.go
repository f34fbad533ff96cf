package main

import (
	"cmp"
	"reflect"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/sample"
)

// samplingFlags say how tokens are chosen. What they leave out is the model's:
// the settings in its file, else the catalogue's, else what sample.Settings takes as usual.
type samplingFlags struct {
	Temperature      *float64 `help:"0 always picks the likeliest token; higher is more varied." env:"PENSTOCK_TEMPERATURE" reload:"" placeholder:"0.8"`
	TopK             *int     `help:"Choose among so many tokens; 0: all." env:"PENSTOCK_TOP_K" reload:"" placeholder:"40"`
	TopP             *float64 `help:"Choose among the likeliest tokens that have this probability together; 1: all." env:"PENSTOCK_TOP_P" reload:"" placeholder:"0.95"`
	MinP             *float64 `help:"Leave out tokens below this fraction of the likeliest one's probability; 0: none." env:"PENSTOCK_MIN_P" reload:"" placeholder:"0.05"`
	RepeatPenalty    *float64 `help:"Make tokens that have occurred less likely by this factor; 1: off." env:"PENSTOCK_REPEAT_PENALTY" reload:"" placeholder:"1"`
	RepeatLastN      *int     `name:"repeat-last-n" help:"The penalties look back at so many tokens; 0: none, -1: all." env:"PENSTOCK_REPEAT_LAST_N" reload:"" placeholder:"64"`
	PresencePenalty  *float64 `help:"Subtract this from the logits of tokens that the answer has." env:"PENSTOCK_PRESENCE_PENALTY" reload:"" placeholder:"0"`
	FrequencyPenalty *float64 `help:"Subtract this for each time that the answer has the token." env:"PENSTOCK_FREQUENCY_PENALTY" reload:"" placeholder:"0"`
	Seed             *int64   `help:"Makes answers repeatable; -1: another each time." env:"PENSTOCK_SEED" reload:"" placeholder:"-1"`
}

// samplingNames are the names of these flags.
func samplingNames() []string { return flagNames(reflect.TypeFor[samplingFlags]()) }

// flagNames are the names of a struct's flags.
func flagNames(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		name := f.Tag.Get("name")
		if name == "" {
			name = kebab(f.Name)
		}
		names = append(names, name)
	}
	return names
}

// kebab turns a field's name into that of its flag: TopK becomes top-k.
func kebab(field string) string {
	var b strings.Builder
	for i, r := range field {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// authorsOf are the settings that the makers of a model recommend, those that count most
// first: what came with its file, what the file says, what the catalogue says.
func authorsOf(file *gguf.File, model string) []gguf.Sampling {
	d := publishedWith(file.Path())
	entry, ok := hub.Lookup(model)
	if !ok {
		entry, _ = hub.Origin(file.Path())
	}
	return []gguf.Sampling{d.Sampling(), file.Sampling(), entry.Sampling}
}

// publishedWith are the defaults that came with a model's file. Those that cannot be read
// are said by whoever fetched the model; they count as none.
func publishedWith(path string) hub.Defaults {
	d, _ := hub.DefaultsOf(path)
	return d
}

// settings are what the flags say, else the first source that says something.
func (f *samplingFlags) settings(sources ...gguf.Sampling) sample.Settings {
	s := sample.Settings{
		Temperature: f.Temperature, TopK: f.TopK, TopP: f.TopP, MinP: f.MinP, RepeatPenalty: f.RepeatPenalty, RepeatLastN: f.RepeatLastN,
		PresencePenalty: f.PresencePenalty, FrequencyPenalty: f.FrequencyPenalty,
		Seed: f.Seed,
	}
	for _, from := range sources {
		s = sample.Merge(s, sample.Settings{
			Temperature: from.Temperature, TopK: from.TopK, TopP: from.TopP, MinP: from.MinP,
			RepeatPenalty: from.RepeatPenalty, RepeatLastN: from.RepeatLastN,
		})
	}
	return s
}

// orElse are the flags of f, and for those that f leaves out the flags of other.
func (f samplingFlags) orElse(other samplingFlags) samplingFlags {
	return samplingFlags{
		Temperature: cmp.Or(f.Temperature, other.Temperature), TopK: cmp.Or(f.TopK, other.TopK), TopP: cmp.Or(f.TopP, other.TopP),
		MinP: cmp.Or(f.MinP, other.MinP), RepeatPenalty: cmp.Or(f.RepeatPenalty, other.RepeatPenalty),
		RepeatLastN: cmp.Or(f.RepeatLastN, other.RepeatLastN), PresencePenalty: cmp.Or(f.PresencePenalty, other.PresencePenalty),
		FrequencyPenalty: cmp.Or(f.FrequencyPenalty, other.FrequencyPenalty), Seed: cmp.Or(f.Seed, other.Seed),
	}
}

// params are the parameters of a request.
func (f *samplingFlags) params(sources ...gguf.Sampling) sample.Params {
	return f.settings(sources...).Params()
}
