package llamaserver

import (
	"context"
	"fmt"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// maxExtra is the largest number of files beside the one with the gap.
const maxExtra = 1024

// infill is POST /infill: the model fills a gap in a text.
func infill(call *serving.Call) *serving.Error {
	var req api.InfillRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	return generate(call, &req.Generation, func(ctx context.Context, m *serving.Deployment) ([][]int32, *serving.Error) {
		in, bytes, err := gapOf(m, &req)
		if err != nil {
			return nil, err
		}
		if err := m.Admit(call, "prompt", 1); err != nil {
			return nil, err
		}
		var ids []int32
		err = m.Prepare(ctx, bytes, func() (err *serving.Error) {
			ids, err = m.EncodeInfill(in)
			return err
		})
		return [][]int32{ids}, err
	})
}

// gapOf reads a request's text with its gap, and how many bytes it has.
func gapOf(m *serving.Deployment, r *api.InfillRequest) (in *serving.Infill, bytes int, err *serving.Error) {
	switch {
	case r.InputPrefix == nil:
		return nil, 0, serving.Bad("input_prefix", "input_prefix is required: the text before the gap, which may be empty")
	case r.InputSuffix == nil:
		return nil, 0, serving.Bad("input_suffix", "input_suffix is required: the text after the gap, which may be empty")
	case len(r.InputExtra) > maxExtra:
		return nil, 0, serving.Bad("input_extra", "input_extra must have at most %d elements", maxExtra)
	}
	if err := m.CanInfill("input_prefix"); err != nil {
		return nil, 0, err
	}
	in = &serving.Infill{Prefix: *r.InputPrefix + r.Prompt, Suffix: *r.InputSuffix}
	bytes = len(in.Prefix) + len(in.Suffix)
	for i, f := range r.InputExtra {
		if f.Text == "" {
			param := fmt.Sprintf("input_extra[%d].text", i)
			return nil, 0, serving.Bad(param, "%s must be a text that is not empty", param)
		}
		if f.Filename == "" {
			f.Filename = "tmp"
		}
		in.Files = append(in.Files, serving.InfillFile{Name: f.Filename, Text: f.Text})
		bytes += len(f.Text)
	}
	return in, bytes, nil
}
