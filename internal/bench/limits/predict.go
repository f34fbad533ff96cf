package limits

// Work is what a model does for a step of decoding.
type Work struct {
	Weights  int64 // bytes that a step reads, however many sequences it has
	Params   int64 // weights that a token is multiplied with
	PerToken int64 // bytes of keys and values of a position, which each sequence reads for itself
	Context  int   // positions that a sequence has, on average
}

// Parts of the limits that a whole step reaches, not a loop that does nothing else. Weights are read at nearly the bandwidth of plain
// reads, at times above what a short probe saw. Products reach about six tenths of the int8 ceiling (docs/benchmarks.md).
const (
	readShare    = 0.9
	productShare = 0.6
)

// assumedOps stands for the int8 ceiling of a tier that has none: so many operations in a cycle of one core.
const assumedOps = 4

// Rate predicts how many tokens in a second a number of sequences get together when all of them decode, on so many threads.
// Reading and multiplying are taken to follow each other: in truth they overlap in part, and much else is not counted.
func (l Limits) Rate(w Work, sequences, threads int) float64 {
	ops := l.Ops
	if ops == 0 {
		ops = l.Clock * assumedOps * float64(threads) / productShare
	}
	if l.Bandwidth == 0 || ops == 0 {
		return 0
	}
	n := float64(sequences)
	reading := (float64(w.Weights) + n*float64(w.PerToken)*float64(w.Context)) / (l.Bandwidth * readShare)
	multiplying := n * 2 * float64(w.Params) / (ops * productShare)
	return n / (reading + multiplying)
}
