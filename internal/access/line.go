package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// digestPrefix begins the second word of a line with a stored digest.
const digestPrefix = "sha256:"

// modelName matches what can be one of a key's models.
var modelName = regexp.MustCompile(`^[^\s,=]+$`)

// parseLine reads one line that is neither empty nor a comment.
func parseLine(line string) (Key, error) {
	words := strings.Fields(line)
	if len(words) == 1 {
		if strings.HasPrefix(words[0], digestPrefix) {
			return Key{}, errors.New("a digest needs a name before it: NAME sha256:DIGEST")
		}
		if !isSecret(words[0]) {
			return Key{}, errors.New("a key is one word of ASCII letters, digits and signs")
		}
		return plainKey(words[0]), nil
	}
	text, ok := strings.CutPrefix(words[1], digestPrefix)
	if !ok {
		return Key{}, errors.New("a key is one word of ASCII letters, digits and signs; a line with a name is NAME sha256:DIGEST")
	}
	k := Key{Name: words[0]}
	if err := CheckName(k.Name); err != nil {
		return k, err
	}
	digest, err := hex.DecodeString(text)
	if err != nil || len(digest) != len(k.Digest) {
		return k, errors.New("the digest has to be sha256: and 64 hexadecimal digits")
	}
	copy(k.Digest[:], digest)
	for _, word := range words[2:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return k, fmt.Errorf("%q: after the digest come words of the form option=value", clip(word))
		}
		if err := k.set(name, value); err != nil {
			return k, err
		}
	}
	if k.Scopes == nil {
		k.Scopes = []Scope{Infer}
	}
	return k, nil
}

// CheckName reports what is wrong with the name of a key.
func CheckName(name string) error {
	if !keyName.MatchString(name) {
		return fmt.Errorf("%q is no name of a key: want up to 64 letters, digits and any of . _ @ -", clip(name))
	}
	return nil
}

// counts are the options with a number, in the order in which lines have them.
var counts = []struct {
	name string
	at   func(*Limits) *int
}{
	{"requests-per-minute", func(l *Limits) *int { return &l.RequestsPerMinute }},
	{"tokens-per-minute", func(l *Limits) *int { return &l.TokensPerMinute }},
	{"concurrent", func(l *Limits) *int { return &l.Concurrent }},
	{"tokens-per-day", func(l *Limits) *int { return &l.TokensPerDay }},
	{"tokens-per-month", func(l *Limits) *int { return &l.TokensPerMonth }},
}

// set gives the key an option of its line.
func (k *Key) set(name, value string) error {
	for _, c := range counts {
		if c.name != name {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("%s=%s: want a whole number of at least 1; without the option there is no limit", name, clip(value))
		}
		*c.at(&k.Limits) = n
		return nil
	}
	switch name {
	case "scopes":
		for s := range strings.SplitSeq(value, ",") {
			if !slices.Contains(Scopes(), Scope(s)) {
				return fmt.Errorf("scopes=%s: want some of infer, admin, metrics, with commas between", clip(value))
			}
			k.Scopes = append(k.Scopes, Scope(s))
		}
	case "models":
		for m := range strings.SplitSeq(value, ",") {
			if err := CheckModel(m); err != nil {
				return err
			}
			k.Models = append(k.Models, m)
		}
	case "priority":
		class, err := parseClass(value)
		if err != nil {
			return err
		}
		k.Limits.Priority = class
	default:
		return fmt.Errorf("unknown option %q: want scopes, models, priority, requests-per-minute, tokens-per-minute, concurrent, tokens-per-day or tokens-per-month",
			clip(name))
	}
	return nil
}

// CheckModel reports whether a line can hold the name of a model.
func CheckModel(name string) error {
	if !modelName.MatchString(name) {
		return fmt.Errorf("%q is no name of a model: it may have no spaces, commas or =", clip(name))
	}
	return nil
}

func parseClass(text string) (Class, error) {
	for c := Low; c <= High; c++ {
		if c.String() == text {
			return c, nil
		}
	}
	return Normal, fmt.Errorf("priority=%s: want low, normal or high", clip(text))
}

// words are the limits as options of a line.
func (l *Limits) words() (words []string) {
	if l.Priority != Normal {
		words = append(words, "priority="+l.Priority.String())
	}
	for _, c := range counts {
		if n := *c.at(l); n > 0 {
			words = append(words, c.name+"="+strconv.Itoa(n))
		}
	}
	return words
}

// String lists the limits, for people.
func (l Limits) String() string {
	if words := l.words(); len(words) > 0 {
		return strings.Join(words, " ")
	}
	return "none"
}

// line is the key as a line of the file.
func (k *Key) line() string {
	words := []string{k.Name, digestPrefix + hex.EncodeToString(k.Digest[:])}
	scopes := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		scopes[i] = string(s)
	}
	words = append(words, "scopes="+strings.Join(scopes, ","))
	if len(k.Models) > 0 {
		words = append(words, "models="+strings.Join(k.Models, ","))
	}
	return strings.Join(append(words, k.Limits.words()...), " ")
}

// clip shortens a word of the file for a message. The word might be a key that
// stands in the wrong place, so a message has only its beginning.
func clip(text string) string {
	const most = 24
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
