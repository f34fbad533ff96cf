package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"
)

// remoteModel is a model of a running server that talk talks to.
type remoteModel struct {
	*remote
	name    string
	context int
}

// serving is the model that run asks for, if a running server has it. Otherwise it
// is nil, and run loads the model itself. Either is said.
func (c *runCommand) serving(ctx context.Context, p *parsed, term terminal) (*remoteModel, error) {
	local := c.Local && (origin(p.context, "local") == fromCommandLine || origin(p.context, "host") != fromCommandLine)
	if local || strings.ContainsAny(c.Model, `/\`) && !strings.HasPrefix(c.Model, "hf.co/") {
		return nil, nil
	}
	r, err := c.Server.find(ctx, p)
	if err != nil || r == nil {
		return nil, err
	}
	for _, flag := range flagNames(reflect.TypeFor[engineFlags]()) {
		if origin(p.context, flag) == fromCommandLine {
			fmt.Fprintf(term.err, "penstock: the server at %s is not used: --%s is for a model in this process\n", r.url, flag)
			return nil, nil
		}
	}
	m, err := r.model(ctx, c.Model)
	var answer *remoteError
	switch {
	case errors.As(err, &answer):
		fmt.Fprintf(term.err, "penstock: the server at %s is not used: %s\n", r.url, answer.text)
		return nil, nil
	case err != nil:
		return nil, err
	}
	fmt.Fprintf(term.err, "penstock: %s is asked at the server at %s (--local runs it here)\n", c.Model, r.url)
	return m, nil
}

// model is a model of the server.
func (r *remote) model(ctx context.Context, name string) (*remoteModel, error) {
	var m struct {
		MaxModelLen int `json:"max_model_len"`
	}
	if err := r.get(ctx, "/v1/models/"+url.PathEscape(name), &m); err != nil {
		return nil, err
	}
	return &remoteModel{r, name, m.MaxModelLen}, nil
}

// events reads the events of a stream, until take returns an error.
func events(stream io.Reader, take func(data []byte) error) error {
	const longest = 1 << 20
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || string(data) == "[DONE]" {
			continue
		}
		if err := take(data); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer broke off: has the server stopped? (%w)", err)
	}
	return nil
}
