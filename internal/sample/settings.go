package sample

import (
	"math"
	"math/rand/v2"
)

// Settings are those parameters for which several parties may have a wish: the
// request, the server's flags, the authors of the model, the catalogue. A nil
// field means that a party says nothing about it.
type Settings struct {
	Temperature      *float64 // 0: the likeliest token
	TopK             *int     // 0 or less: all tokens
	TopP             *float64 // 1: off
	MinP             *float64 // 0: off
	RepeatPenalty    *float64 // 1: off
	RepeatLastN      *int     // tokens that the penalties look back at; 0: none, -1: the whole sequence
	PresencePenalty  *float64 // 0: off
	FrequencyPenalty *float64 // 0: off
	Seed             *int64   // in 32 bits; RandomSeed and less than 0: another one each time
}

// usualSettings are llama-server's defaults, for models whose authors say nothing.
func usualSettings() Settings {
	return Settings{
		Temperature: new(0.8), TopK: new(40), TopP: new(0.95), MinP: new(0.05),
		RepeatPenalty: new(1.0), RepeatLastN: new(64), PresencePenalty: new(0.0), FrequencyPenalty: new(0.0),
	}
}

// Merge takes each setting from the first party that has it.
func Merge(parties ...Settings) Settings {
	var s Settings
	for _, p := range parties {
		first(&s.Temperature, p.Temperature)
		first(&s.TopK, p.TopK)
		first(&s.TopP, p.TopP)
		first(&s.MinP, p.MinP)
		first(&s.RepeatPenalty, p.RepeatPenalty)
		first(&s.RepeatLastN, p.RepeatLastN)
		first(&s.PresencePenalty, p.PresencePenalty)
		first(&s.FrequencyPenalty, p.FrequencyPenalty)
		first(&s.Seed, p.Seed)
	}
	return s
}

func first[T any](to **T, from *T) {
	if *to == nil {
		*to = from
	}
}

// Params are the parameters that follow from the settings. What they leave open
// is as usual.
func (s Settings) Params() Params {
	s = Merge(s, usualSettings())
	p := Params{
		Temperature:      float32(*s.Temperature),
		TopK:             max(*s.TopK, 0),
		TopP:             max(float32(*s.TopP), LeastTopP),
		MinP:             float32(*s.MinP),
		RepeatPenalty:    float32(*s.RepeatPenalty),
		RepeatLastN:      *s.RepeatLastN,
		PresencePenalty:  float32(*s.PresencePenalty),
		FrequencyPenalty: float32(*s.FrequencyPenalty),
		TypicalP:         1,
		TopNSigma:        -1,
		XTCThreshold:     0.1,
		DynatempExponent: 1,
		DRY:              DRY{Base: 1.75, AllowedLength: 2, LastN: -1},
	}
	p.Seed = uint64(rand.Uint32N(RandomSeed))
	if s.Seed != nil && *s.Seed >= 0 && *s.Seed < RandomSeed {
		p.Seed = uint64(*s.Seed)
	}
	return p
}

// RandomSeed is the seed that asks for another one each time, as -1 does. Seeds
// have 32 bits, so that every client can read the one that was used and ask for
// it again.
const RandomSeed = math.MaxUint32

// LeastTopP stands for a top-p of 0, with which the likeliest token is chosen.
const LeastTopP = 1e-9
