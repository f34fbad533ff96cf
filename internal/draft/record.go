package draft

// Record is how often the guesses for one sequence were right lately, for each class:
// a chat repeats little and an edit nearly everything.
type Record struct{ right [Classes]float32 }

// newcomers is what is assumed of a sequence before anything is known.
var newcomers = Record{right: [Classes]float32{Near: 0.3, Short: 0.3, Medium: 0.5, Long: 0.85, Model: 0.7}}

// weight is that of the latest guess.
const weight = 0.08

// NewRecord is the record of a new sequence.
func NewRecord() Record { return newcomers }

// Right is the chance that a guessed token is right, if those before it are.
func (r *Record) Right(c Class) float64 { return float64(r.right[c]) }

// Revive lets the record of a class that is not tried any more approach that of a
// newcomer, so that it is tried again.
func (r *Record) Revive(c Class) { r.right[c] += 0.01 * (newcomers.right[c] - r.right[c]) }

// Learn compares a guess with the tokens that came, and returns how many of its first
// were right. The guess need not have had rows: so a sequence that gets none, because
// its guesses were wrong, gets some again when they would have been right.
func (r *Record) Learn(c Class, guess, came []int32) (right int) {
	p := &r.right[c]
	for i := range min(len(guess), len(came)) {
		if guess[i] != came[i] {
			*p -= weight * *p
			break
		}
		*p += weight * (1 - *p)
		right++
	}
	return right
}
