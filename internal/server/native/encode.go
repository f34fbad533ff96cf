package native

import (
	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// encode is POST /encode.
func encode(call *serving.Call) *serving.Error {
	var req api.EncodeRequest
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	if req.Text == nil {
		return serving.Bad("text", "text is required")
	}
	return m.Prepare(call.R.Context(), len(*req.Text), func() *serving.Error {
		ids := m.Tokenizer.Encode(*req.Text, true, true)
		if ids == nil {
			ids = []int32{}
		}
		return answer(call, api.Encoded{Tokens: ids, Length: len(ids)})
	})
}
