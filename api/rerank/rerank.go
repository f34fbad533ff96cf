// Package rerank holds the wire types of the routes that order documents by a query,
// as Cohere, Jina, vLLM and Text Embeddings Inference have them, and of vLLM's /score.
//
// There is no logic here. The server decodes these types; Go clients may encode them.
package rerank

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/penstock-llm/penstock/api/sampling"
)

// Request is the body of POST /rerank, /v1/rerank and /v2/rerank. Text Embeddings
// Inference calls the documents texts, and answers in a form of its own.
type Request struct {
	Model           string     `json:"model,omitempty"`
	Query           string     `json:"query"`
	Documents       []Document `json:"documents,omitempty"`
	Texts           []string   `json:"texts,omitempty"`
	TopN            *int       `json:"top_n,omitempty"`
	ReturnDocuments *bool      `json:"return_documents,omitempty"`
	ReturnText      bool       `json:"return_text,omitempty"`
	RawScores       bool       `json:"raw_scores,omitempty"`
	Truncate        bool       `json:"truncate,omitempty"`
	Priority        *int       `json:"priority,omitempty"`
}

// Document is a text, in requests also an object with one.
type Document struct {
	Text string `json:"text"`
}

var errDocument = errors.New("a document without a text")

// Wanted describes the forms in an error.
func (*Document) Wanted() string { return "a string, or an object with a text" }

// UnmarshalJSON reads a text, or an object with one.
func (d *Document) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte{'"'}) {
		return json.Unmarshal(data, &d.Text)
	}
	var object struct{ Text *string }
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	if object.Text == nil {
		return errDocument
	}
	d.Text = *object.Text
	return nil
}

// Response is the answer, the best document first.
type Response struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"` // list
	Model   string   `json:"model"`
	Method  string   `json:"method"` // what the scores are: cosine
	Results []Result `json:"results"`
	Usage   Usage    `json:"usage"`
}

// Result is a document's place.
type Result struct {
	Index    int       `json:"index"` // in the request
	Score    float64   `json:"relevance_score"`
	Document *Document `json:"document,omitempty"`
}

// Rank is a result in the form of Text Embeddings Inference, whose answer is an
// array of them.
type Rank struct {
	Index int     `json:"index"`
	Score float64 `json:"score"`
	Text  *string `json:"text,omitempty"`
}

// Usage counts the tokens of the query and all documents, under two names.
type Usage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// ScoreRequest is the body of POST /score: pairs of texts under one of two names.
// One text on the left is compared with all on the right.
type ScoreRequest struct {
	Model     string         `json:"model,omitempty"`
	Text1     sampling.Texts `json:"text_1,omitempty"`
	Text2     sampling.Texts `json:"text_2,omitempty"`
	Queries   sampling.Texts `json:"queries,omitempty"`
	Documents sampling.Texts `json:"documents,omitempty"`
	Priority  *int           `json:"priority,omitempty"`
}

// ScoreResponse is the answer, in the order of the pairs.
type ScoreResponse struct {
	ID      string  `json:"id"`
	Object  string  `json:"object"` // list
	Created int64   `json:"created"`
	Model   string  `json:"model"`
	Method  string  `json:"method"` // what the scores are: cosine
	Data    []Score `json:"data"`
	Usage   Usage   `json:"usage"`
}

// Score is how alike the texts of a pair are.
type Score struct {
	Index  int     `json:"index"`
	Object string  `json:"object"` // score
	Score  float64 `json:"score"`
}
