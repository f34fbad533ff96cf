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

var chats = []string{
	"Why is the sky blue during the day and red in the evening?",
	"I have flour, eggs, milk and three apples. What can I cook for two?",
	"Explain to a child how a bicycle stays upright.",
	"What should I look at when I buy a used car?",
	"Write a short letter to a neighbour whose dog barks at night.",
	"How do vaccines work?",
	"Compare living in a city with living in the country.",
	"Give me a plan for a weekend in Lisbon.",
}
