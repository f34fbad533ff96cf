package clients

import (
	"math"
	"testing"

	ollama "github.com/ollama/ollama/api"
	"github.com/openai/openai-go/v3"
)

// The official clients read embeddings, which are the same from both protocols.
func TestEmbeddings(t *testing.T) {
	client, _ := newOpenAI()
	texts := []string{"a pipe for water", "a tube for water"}
	a, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts}, EncodingFormat: openai.EmbeddingNewParamsEncodingFormatFloat,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Data) != 2 || a.Data[1].Index != 1 || a.Usage.PromptTokens <= 0 || a.Usage.TotalTokens != a.Usage.PromptTokens {
		t.Fatalf("%d vectors, usage %+v", len(a.Data), a.Usage)
	}
	other, _ := newOllama(t)
	b, err := other.Embed(t.Context(), &ollama.EmbedRequest{Model: model, Input: texts})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Embeddings) != 2 || int64(b.PromptEvalCount) != a.Usage.PromptTokens {
		t.Fatalf("%d vectors of %d tokens", len(b.Embeddings), b.PromptEvalCount)
	}
	for i, e := range a.Data {
		length := 0.0
		for d, x := range e.Embedding {
			length += x * x
			if float32(x) != b.Embeddings[i][d] {
				t.Fatalf("text %d: %v and %v", i, x, b.Embeddings[i][d])
			}
		}
		if math.Abs(length-1) > 1e-5 {
			t.Errorf("text %d: a vector of length %v", i, math.Sqrt(length))
		}
	}
}

func TestOpenAIEmbeddings(t *testing.T) {
	client, _ := newOpenAI()
	a, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("a pipe for water")}, Dimensions: openai.Int(896),
	})
	if err != nil || len(a.Data) != 1 || len(a.Data[0].Embedding) != 896 || a.Usage.TotalTokens <= 0 {
		t.Errorf("%v %+v", err, a)
	}
}

// The older route has vectors of the same direction, as long as the model made them.
func TestOllamaEmbeddings(t *testing.T) {
	client, _ := newOllama(t)
	a, err := client.Embed(t.Context(), &ollama.EmbedRequest{Model: model, Input: "a pipe for water"})
	if err != nil || len(a.Embeddings) != 1 || a.TotalDuration <= 0 {
		t.Fatalf("%v %+v", err, a)
	}
	b, err := client.Embeddings(t.Context(), &ollama.EmbeddingRequest{Model: model, Prompt: "a pipe for water"})
	if err != nil || len(b.Embedding) != len(a.Embeddings[0]) {
		t.Fatalf("%v %d dimensions", err, len(b.Embedding))
	}
	dot, length := 0.0, 0.0
	for i, x := range b.Embedding {
		dot += x * float64(a.Embeddings[0][i])
		length += x * x
	}
	if cosine := dot / math.Sqrt(length); cosine < 0.9999 {
		t.Errorf("the cosine of both is %v", cosine)
	}
}
