// Package sampling holds the request fields that say how tokens are chosen and
// when an answer ends. All routes that generate text have them, under the same
// names: those of OpenAI, of llama-server and of vLLM.
//
// There is no logic here beyond reading the forms that one field may have.
// Optional fields are pointers: absent and zero are different things.
package sampling

import (
	"encoding/json"
	"errors"
)

// Fields are part of every request for text.
type Fields struct {
	Temperature      *float64        `json:"temperature,omitempty"`
	TopK             *int            `json:"top_k,omitempty"`
	TopP             *float64        `json:"top_p,omitempty"`
	MinP             *float64        `json:"min_p,omitempty"`
	TypicalP         *float64        `json:"typical_p,omitempty"`
	TopNSigma        *float64        `json:"top_n_sigma,omitempty"`
	XTCProbability   *float64        `json:"xtc_probability,omitempty"`
	XTCThreshold     *float64        `json:"xtc_threshold,omitempty"`
	DynatempRange    *float64        `json:"dynatemp_range,omitempty"`
	DynatempExponent *float64        `json:"dynatemp_exponent,omitempty"`
	MinKeep          *int            `json:"min_keep,omitempty"`
	Samplers         json.RawMessage `json:"samplers,omitempty"` // an array of names, or a text of letters

	RepeatPenalty     *float64 `json:"repeat_penalty,omitempty"`     // llama-server's name
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"` // vLLM's name of the same
	RepeatLastN       *int     `json:"repeat_last_n,omitempty"`
	PresencePenalty   *float64 `json:"presence_penalty,omitempty"`
	FrequencyPenalty  *float64 `json:"frequency_penalty,omitempty"`

	DryMultiplier       *float64 `json:"dry_multiplier,omitempty"`
	DryBase             *float64 `json:"dry_base,omitempty"`
	DryAllowedLength    *int     `json:"dry_allowed_length,omitempty"`
	DryPenaltyLastN     *int     `json:"dry_penalty_last_n,omitempty"`
	DrySequenceBreakers []string `json:"dry_sequence_breakers,omitempty"`

	LogitBias       json.RawMessage `json:"logit_bias,omitempty"` // {"id": value}, or [[id or text, value or false], …]
	AllowedTokenIDs []int32         `json:"allowed_token_ids,omitempty"`
	BadWords        []string        `json:"bad_words,omitempty"`
	Seed            *int64          `json:"seed,omitempty"`

	MinTokens     *int    `json:"min_tokens,omitempty"`
	Stop          Stop    `json:"stop,omitempty"`
	StopTokenIDs  []int32 `json:"stop_token_ids,omitempty"`
	IgnoreEOS     bool    `json:"ignore_eos,omitempty"`
	TMaxPredictMS *int    `json:"t_max_predict_ms,omitempty"`
	CachePrompt   *bool   `json:"cache_prompt,omitempty"`
	CacheSalt     *string `json:"cache_salt,omitempty"`

	// What the answer must be: one of these at most.
	ResponseFormat    json.RawMessage    `json:"response_format,omitempty"` // OpenAI's
	StructuredOutputs *StructuredOutputs `json:"structured_outputs,omitempty"`
	GuidedJSON        json.RawMessage    `json:"guided_json,omitempty"` // vLLM's older names
	GuidedRegex       json.RawMessage    `json:"guided_regex,omitempty"`
	GuidedChoice      json.RawMessage    `json:"guided_choice,omitempty"`
	GuidedGrammar     json.RawMessage    `json:"guided_grammar,omitempty"`
	Grammar           json.RawMessage    `json:"grammar,omitempty"` // llama-server's
	JSONSchema        json.RawMessage    `json:"json_schema,omitempty"`
}

// StructuredOutputs is vLLM's way to say what the answer must be.
type StructuredOutputs struct {
	JSON       json.RawMessage `json:"json,omitempty"`
	Regex      json.RawMessage `json:"regex,omitempty"`
	Choice     json.RawMessage `json:"choice,omitempty"`
	Grammar    json.RawMessage `json:"grammar,omitempty"`
	JSONObject bool            `json:"json_object,omitempty"`
}

// Texts is one text or several, as requests for embeddings have them.
type Texts []string

// Wanted describes the forms in an error.
func (*Texts) Wanted() string { return "a string or an array of strings" }

var errNull = errors.New("null is no text")

// UnmarshalJSON reads a string, an array of strings or null.
func (t *Texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*t = make(Texts, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	var list []*string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*t = nil
	for _, text := range list {
		if text == nil {
			return errNull
		}
		*t = append(*t, *text)
	}
	return nil
}

// Stop is one stop string or several.
type Stop []string

// Wanted describes the forms in an error.
func (*Stop) Wanted() string { return "a string or an array of strings" }

// UnmarshalJSON reads a string, an array of strings or null.
func (s *Stop) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*s = nil
		if one != "" {
			*s = Stop{one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}
