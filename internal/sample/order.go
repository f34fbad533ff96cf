package sample

import (
	"fmt"
	"slices"
	"strings"
)

// Stage is one sampler of the chain that leads from logits to a token.
type Stage uint8

// The stages. DefaultOrder says in which order they run unless a request names
// another one.
const (
	Penalties   Stage = iota + 1 // RepeatPenalty, PresencePenalty, FrequencyPenalty
	DontRepeat                   // DRY
	TopNSigma                    // Params.TopNSigma
	TopK                         // Params.TopK
	TypicalP                     // Params.TypicalP
	TopP                         // Params.TopP
	MinP                         // Params.MinP
	XTC                          // Params.XTCProbability, Params.XTCThreshold
	Temperature                  // Params.Temperature, Params.DynatempRange
)

// DefaultOrder is llama-server's: what narrows the choice looks at the model's
// own probabilities, and the temperature only shapes the final draw.
var DefaultOrder = []Stage{Penalties, DontRepeat, TopNSigma, TopK, TypicalP, TopP, MinP, XTC, Temperature}

// stageNames are llama-server's names, with the letter that stands for each in
// its short form.
var stageNames = [...]struct {
	name   string
	letter byte
}{
	Penalties:   {"penalties", 'e'},
	DontRepeat:  {"dry", 'd'},
	TopNSigma:   {"top_n_sigma", 's'},
	TopK:        {"top_k", 'k'},
	TypicalP:    {"typ_p", 'y'},
	TopP:        {"top_p", 'p'},
	MinP:        {"min_p", 'm'},
	XTC:         {"xtc", 'x'},
	Temperature: {"temperature", 't'},
}

// stageAliases are other spellings that llama-server accepts.
var stageAliases = map[string]Stage{
	"top-n-sigma": TopNSigma,
	"top-k":       TopK,
	"top-p":       TopP, "nucleus": TopP,
	"typical-p": TypicalP, "typical_p": TypicalP, "typical": TypicalP, "typ-p": TypicalP, "typ": TypicalP,
	"min-p": MinP,
	"temp":  Temperature,
}

// String is llama-server's name of the stage.
func (s Stage) String() string {
	if s >= Penalties && int(s) < len(stageNames) {
		return stageNames[s].name
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

// ParseOrder reads an order of samplers by their names. A sampler that is not
// named does not run, whatever its parameters are.
func ParseOrder(names []string) ([]Stage, error) {
	order := make([]Stage, 0, len(names))
	for _, name := range names {
		at := slices.IndexFunc(stageNames[1:], func(s struct {
			name   string
			letter byte
		}) bool {
			return s.name == name
		})
		stage, alias := stageAliases[name]
		switch {
		case at >= 0:
			stage = Stage(at + 1)
		case !alias:
			return nil, fmt.Errorf("%.40q is not a sampler of this server; those are %s", name, strings.Join(stageList(), ", "))
		}
		if slices.Contains(order, stage) {
			return nil, fmt.Errorf("the sampler %s comes twice", stage)
		}
		order = append(order, stage)
	}
	return order, nil
}

// ParseLetters reads llama-server's short form of an order, such as "edskypmxt".
func ParseLetters(letters string) ([]Stage, error) {
	names := make([]string, 0, len(letters))
	for _, c := range []byte(letters) {
		name := string(c)
		for _, s := range stageNames[1:] {
			if s.letter == c {
				name = s.name
			}
		}
		names = append(names, name)
	}
	return ParseOrder(names)
}

func stageList() []string {
	list := make([]string, 0, len(DefaultOrder))
	for _, s := range DefaultOrder {
		list = append(list, s.String())
	}
	return list
}
