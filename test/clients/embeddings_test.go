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
