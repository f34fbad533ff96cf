package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/dlclark/regexp2/v2"
	"pgregory.net/rapid"
)

// Parts that patterns share.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	folded        = `'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]`
	newlineSpaces = `|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwenTail      = `|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*` + newlineSpaces
	o200kTail     = `|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + newlineSpaces
	deepseekTail  = `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`
	hanKanaRun    = `[一-龥぀-ゟ゠-ヿ]+`
	thousandRun   = `\P{N}*\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`
	// Without the white space among it, which llama.cpp's engine doesn't see.
	oldDeepseekRun = `(?:(?!\s)[一-龥ࠀ-一가-퟿])+`
)

// mixed is a word whose capitals come first; U stands for its letters.
func mixed(letters, suffix string) string {
	lead, upper, lower := `[^\r\n\p{L}\p{N}]?`, `(?:(?=[U])[^a-z])`, `(?:(?=[U])[^A-Z])`
	pattern := lead + upper + `*` + lower + `+` + suffix + `|` + lead + upper + `+` + lower + `*` + suffix
	return strings.ReplaceAll(pattern, "U", letters)
}

// oracles are the published patterns, stage by stage, of one name per scheme.
var oracles = map[string][]string{
	"default":    {"[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2Pattern, `\p{N}+`, `[0-9][0-9][0-9]`},
	"falcon":     {"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Pattern, `[0-9][0-9][0-9]`},
	"gpt-2":      {gpt2Pattern},
	"smollm":     {`\p{N}`, gpt2Pattern},
	"llama-bpe":  {`(?:` + folded + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*` + newlineSpaces},
	"minicpm5":   {`\p{N}{1,3}`, `(?:` + folded + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*` + newlineSpaces},
	"qwen2":      {`(?:` + folded + `)|[^\r\n\p{L}\p{N}]?\p{L}+` + qwenTail},
	"bailingmoe": {`'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`},
	"qwen35":     {`(?:` + folded + `)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*` + newlineSpaces},
	"laguna":     {`[^\n]+|\n+`, `(?:` + folded + `)|[^\r\n\p{L}\p{N}]?\p{L}+` + qwenTail},
	"seed-coder": {`(?:` + folded + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+` + newlineSpaces},
	"ufakzeka":   {`[^\r\n\p{L}\p{N}]?\p{L}+` + qwenTail},
	"exaone-moe": {`(?:` + folded + `)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`},
	"jais-2": {`(?:` + folded + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|` +
		`\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`},
	"tekken":                  {mixed(`\p{L}`, ``) + `|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + newlineSpaces},
	"gpt-4o":                  {mixed(`\p{L}`, `(?:`+folded+`)?`) + o200kTail},
	"granite-embed-multi-97m": {mixed(`\p{L}\p{M}`, `(?:`+folded+`)?`) + o200kTail},
	"tiny_aya":                {thousandRun, `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:` + folded + `)?` + o200kTail},
	"youtu": {
		`[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+`,
		`[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+(?:` + folded + `)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + newlineSpaces,
	},
	"kimi-k2": {`H+|[^\r\n\p{L}\p{N}]?(?:(?!H)\p{L})+(?:` + folded + `)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*` + newlineSpaces},
	"deepseek-llm": {
		`[\r\n]`, `\s?L+`, `\s?(?:(?!\s)[!-/:-~！-／：-～‘-‟　-。])+`, `\s+\z`, oldDeepseekRun, `\p{N}+`,
	},
	"deepseek-coder": {`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, oldDeepseekRun, `\p{N}`},
	"deepseek-v3":    {`\p{N}{1,3}`, hanKanaRun, deepseekTail + `| ?[\p{P}\p{S}]+[\r\n]*` + newlineSpaces},
	"spark2_5":       {`\p{N}{1,3}`, hanKanaRun, deepseekTail + `| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`, `\p{N}`},
	"afmoe": {
		thousandRun,
		`[一-鿿㐀-䶿\u8c48-\ufaff぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+`,
		deepseekTail + `| ?[\p{P}\p{S}]+[\r\n]*` + newlineSpaces,
	},
	"bloom":     {` ?[^(\s|.,!?…。，、।۔،)]+`},
	"viking":    {` ?[^(\s|.,!?…。，、।۔،)]+`, `\p{N}`},
	"superbpe":  {`\p{N}+`, `(?=([0-9]{3})+(?![0-9]))`},
	"chameleon": {`<sentinel:[0-9]+>`, `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`, `([\t\n]|    |  )`, `\p{N}`, "[\\p{P}!-/:-@\\[-`{-~]", gpt2Pattern},
	"gemma4":    {`[^\n]+|\n+`},
}

// spell replaces the sets that this package has as tables: L by the letters of
// DeepSeek, H by Kimi's Han.
func spellSets(pattern string) string {
	class := func(set runeSet) string {
		var b strings.Builder
		b.WriteByte('[')
		for i := 0; i < len(set); i += 2 {
			b.WriteRune(set[i])
			b.WriteByte('-')
			b.WriteRune(set[i+1])
		}
		b.WriteByte(']')
		return b.String()
	}
	if pattern == `\s?L+` {
		return `\s?` + class(deepseekLetters) + `+`
	}
	if strings.HasPrefix(pattern, `H+`) {
		return strings.ReplaceAll(pattern, "H", class(han))
	}
	return pattern
}

// oracleSplit splits like llama.cpp: every stage cuts the pieces of the one
// before into matches and what is between them.
func oracleSplit(t *rapid.T, stages []*regexp2.Regexp, text string) []string {
	pieces := []string{text}
	for _, stage := range stages {
		var next []string
		for _, piece := range pieces {
			runes := []rune(piece)
			at := 0
			emit := func(to int) {
				if to > at {
					next = append(next, string(runes[at:to]))
					at = to
				}
			}
			m, err := stage.FindRunesMatch(runes)
			for ; m != nil && err == nil; m, err = stage.FindNextMatch(m) {
				emit(m.RuneIndex)
				emit(m.RuneIndex + m.RuneLength)
			}
			if err != nil {
				t.Fatal(err)
			}
			emit(len(runes))
		}
		pieces = next
	}
	return pieces
}

// tricky generates texts of what patterns tell apart.
func tricky() *rapid.Generator[string] {
	words := rapid.SampledFrom([]string{
		"word", "Word", "WORD", "mixedCase", "ABCdef", "é", "É", "ÀB", "ǅx", "ʰ", "ª", "Привет", "ΓΕΙΆ", "שלום", "مرحبا",
		"हिन्दी", "ไทย", "ລາວ", "ខ្មែរ", "မြန်", "한국", "ㄱㄴ", "ㄅㄆ", "中文", "𠀀", "豈", "ひらがな", "カタカナ", "ﾊﾝ", "ﬁ", "Ａｂ", "e\u0301", "\u0301",
		"'s", "'S", "'re", "'LL", "'x", "'", "''t", "’s", "<sentinel:7>", "<sentinel:>", "IMGIMGACZ", "IMGIMGABCDEZ",
	})
	blanks := rapid.SampledFrom([]string{
		" ", "  ", "   ", "    ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2028", "\u1680", "\u0085", "\v",
		strings.Repeat(" ", 9), strings.Repeat(" ", 130), strings.Repeat("\n", 3),
	})
	digits := rapid.SampledFrom([]string{"0", "12", "345", "6789", "12345", "1234567", "½", "²³", "٣٤٥", "१", "１２", "𝟘", "ⅷ"})
	signs := rapid.SampledFrom([]string{
		"!", "?", ".", ",", "(", ")", "|", "/", "//", "\\", "<", ">=", "$", "+", "^", "~", "`", "_", "-", "\"", "#", "[", "]", "{", "@",
		"…", "。", "，", "、", "।", "۔", "،", "！", "“", "”", "—", "：", "～", "€", "→", "😀", "👍🏽", "﹏", "‟",
		"\x01", "\u200b", "\u200d", "\ue000", "\u0378",
	})
	any := rapid.Map(rapid.Rune(), func(r rune) string {
		if unicode.Is(added151[letter], r) || unicode.Is(added151[symbol], r) {
			return "a"
		}
		return string(r)
	})
	return rapid.Map(rapid.SliceOfN(rapid.OneOf(words, words, blanks, blanks, digits, signs, any), 0, 14), func(parts []string) string {
		return strings.ToValidUTF8(strings.Join(parts, ""), "")
	})
}

// TestSplitAgainstPatterns compares every scanner with the pattern that it stands
// for.
func TestSplitAgainstPatterns(t *testing.T) {
	for name, patterns := range oracles {
		t.Run(name, func(t *testing.T) {
			var stages []*regexp2.Regexp
			for _, p := range patterns {
				stages = append(stages, regexp2.MustCompile(spellSets(p)))
			}
			rapid.Check(t, func(t *rapid.T) {
				text := tricky().Draw(t, "text")
				var got []string
				schemes[name].stages.split(text, func(piece string) bool { got = append(got, piece); return true })
				if want := oracleSplit(t, stages, text); !slices.Equal(got, want) {
					t.Fatalf("%q\n got %q\nwant %q", text, got, want)
				}
			})
		})
	}
}

// TestOraclesAreComplete makes sure that every scheme has an oracle.
func TestOraclesAreComplete(t *testing.T) {
	for names := range schemeTable {
		if !slices.ContainsFunc(strings.Fields(names), func(name string) bool { return oracles[name] != nil }) && !sameSplit(names) {
			t.Errorf("no oracle for %s", names)
		}
	}
}

// sameSplit says whether a scheme splits like another that has an oracle.
func sameSplit(names string) bool {
	twin := map[string]string{
		"chatglm-bpe dbrx smaug-bpe": "llama-bpe",
		"glm4 glm5":                  "llama-bpe",
		"sarvam-moe":                 "gemma4",
	}
	return oracles[twin[names]] != nil
}
