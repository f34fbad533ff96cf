package main

import (
	"math"
	"math/rand/v2"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/sample"
)

// samplingFlags say how tokens are chosen. What they leave out is the model's:
// the settings in its file, else the catalogue's, else those of usualSampling.
type samplingFlags struct {
	Temperature      *float64 `help:"0 always picks the likeliest token; higher is more varied." env:"PENSTOCK_TEMPERATURE" placeholder:"0.8"`
	TopK             *int     `help:"Choose among so many tokens; 0: all." env:"PENSTOCK_TOP_K" placeholder:"40"`
	TopP             *float64 `help:"Choose among the likeliest tokens that have this probability together; 1: all." env:"PENSTOCK_TOP_P" placeholder:"0.95"`
	MinP             *float64 `help:"Leave out tokens below this fraction of the likeliest one's probability; 0: none." env:"PENSTOCK_MIN_P" placeholder:"0.05"`
	RepeatPenalty    *float64 `help:"Make tokens that have occurred less likely by this factor; 1: off." env:"PENSTOCK_REPEAT_PENALTY" placeholder:"1"`
	RepeatLastN      *int     `name:"repeat-last-n" help:"The penalties look back at so many tokens; 0: none, -1: all." env:"PENSTOCK_REPEAT_LAST_N" placeholder:"64"`
	PresencePenalty  *float64 `help:"Subtract this from the logits of tokens that the answer has." env:"PENSTOCK_PRESENCE_PENALTY" placeholder:"0"`
	FrequencyPenalty *float64 `help:"Subtract this for each time that the answer has the token." env:"PENSTOCK_FREQUENCY_PENALTY" placeholder:"0"`
	Seed             *int64   `help:"Makes answers repeatable; -1: another each time." env:"PENSTOCK_SEED" placeholder:"-1"`
}

// usualSampling is for models whose authors recommend nothing.
func usualSampling() gguf.Sampling {
	return gguf.Sampling{Temperature: new(0.8), TopK: new(40), TopP: new(0.95), MinP: new(0.05), RepeatPenalty: new(1.0), RepeatLastN: new(64)}
}

// recommended are the catalogue's settings for a model.
func recommended(model string) gguf.Sampling {
	entry, _ := hub.Lookup(model)
	return entry.Sampling
}

// asked are the flags that the model's recommendations have a field for.
func (f *samplingFlags) asked() gguf.Sampling {
	return gguf.Sampling{
		Temperature: f.Temperature, TopK: f.TopK, TopP: f.TopP, MinP: f.MinP, RepeatPenalty: f.RepeatPenalty, RepeatLastN: f.RepeatLastN,
	}
}

// params are the parameters of a request: each value from the first of the
// sources that has it.
func (f *samplingFlags) params(sources ...gguf.Sampling) sample.Params {
	all := append([]gguf.Sampling{f.asked()}, append(sources, usualSampling())...)
	p := sample.Params{Seed: uint64(rand.Uint32N(math.MaxUint32))} // such a seed can be asked for again
	lookBack := 0
	for i := len(all) - 1; i >= 0; i-- {
		s := all[i]
		single(&p.Temperature, s.Temperature)
		whole(&p.TopK, s.TopK)
		single(&p.TopP, s.TopP)
		single(&p.MinP, s.MinP)
		single(&p.RepeatPenalty, s.RepeatPenalty)
		whole(&lookBack, s.RepeatLastN)
	}
	single(&p.PresencePenalty, f.PresencePenalty)
	single(&p.FrequencyPenalty, f.FrequencyPenalty)
	p.TopK = max(p.TopK, 0)
	if p.RepeatLastN = max(lookBack, 0); lookBack == 0 { // the sampler's 0 is this flag's -1
		p.RepeatPenalty, p.PresencePenalty, p.FrequencyPenalty = 1, 0, 0
	}
	if f.Seed != nil && *f.Seed >= 0 && *f.Seed < math.MaxUint32 {
		p.Seed = uint64(*f.Seed)
	}
	return p
}

func single(to *float32, from *float64) {
	if from != nil {
		*to = float32(*from)
	}
}

func whole(to, from *int) {
	if from != nil {
		*to = *from
	}
}
