package answer

// Gemma's notation for arguments: keys without quotes, strings between markers.
var (
	gemma4Values  = &notation{quotes: []string{`<|"|>`}, words: python.words, bareKeys: true}
	functionGemma = &notation{quotes: []string{"<escape>"}, words: python.words, bareKeys: true}
)

// gemma reads calls written as call:NAME{key:value,…} between two markers.
func gemma(open, end string, values *notation) func(r *reader) {
	return func(r *reader) {
		for {
			which, began := r.text(open)
			if which < 0 {
				return
			}
			r.block(began, func() bool {
				if !r.acceptSpaced("call:") {
					return false
				}
				name := r.name()
				if r.peek() != '{' || !r.begin(name, "") {
					return false
				}
				ok := r.entries(values, 0)
				r.acceptSpaced(end)
				return ok
			})
		}
	}
}
