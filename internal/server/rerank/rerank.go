// Package rerank orders documents by how near they are to a query, on the routes of
// Cohere, Jina, vLLM and Text Embeddings Inference, and serves vLLM's /score.
//
// A model that was trained to score pairs of texts computes the scores. Those of other
// models are what vLLM gives for embedding models: cosines of embeddings. Answers say
// which. Both are package serving's, and package server mounts the routes.
package rerank

import (
	"cmp"
	"net/http"
	"slices"

	api "github.com/penstock-llm/penstock/api/rerank"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints.
func Routes() []serving.Route {
	also := []int{http.StatusNotImplemented}
	order := serving.Contract{Takes: api.Request{}, Gives: api.Response{}, Runs: true, Also: also}
	compare := serving.Contract{Takes: api.ScoreRequest{}, Gives: api.ScoreResponse{}, Runs: true, Also: also}
	route := func(path, about string, handle serving.Handler, c serving.Contract) serving.Route {
		return serving.Route{Method: "POST", Path: path, Shape: openai.WriteError, Handle: handle, About: about, Contract: c}
	}
	return []serving.Route{
		route("/rerank", "documents in the order of their likeness to a query", rerank, order),
		route("/v1/rerank", "the same", rerank, order),
		route("/v2/rerank", "the same, as Cohere has it", rerank, order),
		route("/score", "vLLM: how alike texts are", score, compare),
		route("/v1/score", "the same", score, compare),
	}
}

// method is what answers call a model's scores.
func method(m *serving.Deployment) string {
	if m.Scorer() {
		return "rank"
	}
	return "cosine"
}

// rerank is POST /rerank.
func rerank(call *serving.Call) *serving.Error {
	var req api.Request
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	documents := &serving.Inputs{Param: "documents", Many: true, Texts: req.Texts, Truncate: req.Truncate}
	if req.Texts != nil {
		documents.Param = "texts"
	}
	for _, d := range req.Documents {
		documents.Texts = append(documents.Texts, d.Text)
	}
	var c serving.Check
	if req.Texts != nil && req.Documents != nil {
		c.Fail(serving.Bad("texts", "texts is another name of documents: send one of them"))
	}
	count := len(documents.Texts)
	top := c.Int("top_n", req.TopN, 0, 0, serving.MaxInputs)
	if err := c.Err(); err != nil {
		return err
	}
	query := &serving.Inputs{Param: "query", Texts: []string{req.Query}, Truncate: req.Truncate}
	scores, tokens, err := scoresOf(call, m.Deployment, query, documents.With(req.Priority, req.RawScores))
	if err != nil {
		return err
	}
	order := make([]int, count)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	if top > 0 {
		order = order[:min(top, count)]
	}
	if req.Texts != nil {
		return call.JSON(200, ranks(&req, order, scores))
	}
	answer := api.Response{ID: serving.NewID("rerank-"), Object: "list", Model: m.Name, Method: method(m.Deployment), Results: make([]api.Result, len(order)),
		Usage: api.Usage{PromptTokens: tokens, TotalTokens: tokens}}
	with := call.R.URL.Path != "/v2/rerank" // Cohere's newer route does not send them back
	if req.ReturnDocuments != nil {
		with = *req.ReturnDocuments
	}
	for i, at := range order {
		answer.Results[i] = api.Result{Index: at, Score: scores[at]}
		if with {
			answer.Results[i].Document = &req.Documents[at]
		}
	}
	return call.JSON(200, answer)
}

// ranks is the answer in the form of Text Embeddings Inference.
func ranks(req *api.Request, order []int, scores []float64) []api.Rank {
	answer := make([]api.Rank, len(order))
	for i, at := range order {
		answer[i] = api.Rank{Index: at, Score: scores[at]}
		if req.ReturnText {
			answer[i].Text = &req.Texts[at]
		}
	}
	return answer
}

// score is POST /score.
func score(call *serving.Call) *serving.Error {
	var req api.ScoreRequest
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	left := &serving.Inputs{Param: "text_1", Texts: req.Text1, Many: len(req.Text1) > 1}
	right := &serving.Inputs{Param: "text_2", Texts: req.Text2, Many: len(req.Text2) > 1}
	if req.Queries != nil || req.Documents != nil {
		if req.Text1 != nil || req.Text2 != nil {
			return serving.Bad("queries", "queries and documents are other names of text_1 and text_2: send one pair")
		}
		left = &serving.Inputs{Param: "queries", Texts: req.Queries, Many: len(req.Queries) > 1}
		right = &serving.Inputs{Param: "documents", Texts: req.Documents, Many: len(req.Documents) > 1}
	}
	if n := len(left.Texts); n > 1 && n != len(right.Texts) {
		return serving.Bad(left.Param, "%s has %d elements and %s %d: want one for all, or as many", left.Param, n, right.Param, len(right.Texts))
	}
	scores, tokens, err := scoresOf(call, m.Deployment, left, right.With(req.Priority, false))
	if err != nil {
		return err
	}
	answer := api.ScoreResponse{ID: serving.NewID("score-"), Object: "list", Created: call.Start.Unix(), Model: m.Name, Method: method(m.Deployment),
		Data: make([]api.Score, len(scores)), Usage: api.Usage{PromptTokens: tokens, TotalTokens: tokens}}
	for i, s := range scores {
		answer.Data[i] = api.Score{Index: i, Object: "score", Score: s}
	}
	return call.JSON(200, answer)
}

// scoresOf compares each text on the right with the one on the left, or with its
// own. All texts are computed as one request.
func scoresOf(call *serving.Call, m *serving.Deployment, left, right *serving.Inputs) (scores []float64, tokens int, err *serving.Error) {
	ctx, cancel := call.Context()
	defer cancel()
	left.Priority = right.Priority
	if m.Scorer() {
		return m.Scores(ctx, call, left, right)
	}
	all, err := m.EmbedAll(ctx, call, left, right)
	if err != nil {
		return nil, 0, err
	}
	scores = make([]float64, len(right.Texts))
	for i, v := range all[1].Vectors {
		scores[i] = serving.Cosine(all[0].Vectors[min(i, len(all[0].Vectors)-1)], v)
	}
	return scores, all[0].Tokens + all[1].Tokens, nil
}
