package engine

import (
	"errors"

	"github.com/penstock-llm/penstock/internal/sample"
)

// isError matches sentinels by identity and a *sample.ParamError by type.
func isError(err, want error) bool {
	if _, ok := want.(*sample.ParamError); ok {
		var p *sample.ParamError
		return errors.As(err, &p)
	}
	return errors.Is(err, want)
}
