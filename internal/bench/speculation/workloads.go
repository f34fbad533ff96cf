package speculation

import _ "embed"

//go:embed texts/inventory.py
var program string

//go:embed texts/lock.txt
var article string

// workload is a kind of request. All clients of one run send theirs at once.
type workload struct {
	name    string
	prompts []string // of the clients, one each
	tokens  int      // of an answer at most
}

// workloads are what is measured: much repetition, some, and little, for one user; and
// a full panel of users.
func workloads() []workload {
	rewrite := "Here is a file, inventory.py:\n\n```python\n" + program + "```\n\n" +
		"Rename the method `scarce` of Inventory to `running_low`, wherever it is used, and change nothing else. Answer with the whole file."
	summary := article + "\n\nSummarise the article in five sentences. For every speaker quote the most important sentence of what they said, word for word."
	return []workload{
		{"rewriting a file", []string{rewrite}, 1400},
		{"summary with quotations", []string{summary}, 400},
		{"chat", chats[:1], 256},
		{"another chat", chats[1:2], 256},
		{"eight clients", chats[:8], 128},
	}
}

// Each asks for a length, because small models say little otherwise.
var chats = []string{
	"Explain in about two hundred words why the sky is blue during the day and red in the evening.",
	"I have flour, eggs, milk and three apples. Describe in detail, step by step, what I can cook for two.",
	"Explain to a child, in about two hundred words, how a bicycle stays upright.",
	"List ten things that I should look at when I buy a used car, with a sentence on each.",
	"Write a polite letter of about two hundred words to a neighbour whose dog barks at night.",
	"Explain in about two hundred words how vaccines work.",
	"Compare living in a city with living in the country, in about two hundred words.",
	"Give me a detailed plan for a weekend in Lisbon, hour by hour.",
}
