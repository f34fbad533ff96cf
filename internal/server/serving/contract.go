package serving

// Contract is what goes into a route and what comes out of it. /openapi.json is
// made from it. Takes, Gives and Events are zero values of the api packages' types.
type Contract struct {
	Takes   any                 // the request's JSON object; nil: the route reads no body
	Gives   any                 // the JSON answer; nil: there is none
	Varies  bool                // the request chooses the answer's fields, or gets an array of answers
	Media   []string            // content types of an answer that is not JSON
	Events  any                 // one message of a stream; nil: the route does not stream
	Framing Framing             // of the stream
	Query   map[string][]string // names in the address's query, and the values that each may have

	Runs    bool  // the model runs: it may be too busy, or take too long
	Refused bool  // there is no answer but the reason why
	Also    []int // statuses that no other route of the protocol has
}
