package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	ollamaapi "github.com/penstock-llm/penstock/api/ollama"
)

// views are what /show can show besides what the model is.
var views = []string{"info", "system", "parameters", "template", "license"}

// description is what the server says of the model.
func (t *talk) description(ctx context.Context) (d ollamaapi.ShowResponse, err error) {
	err = t.at.post(ctx, "/api/show", map[string]string{"model": t.at.name}, &d)
	return d, err
}

// view shows what the model is, or something else of it.
func (t *talk) view(ctx context.Context, what string) error {
	what = cmp.Or(what, "info")
	if what == "modelfile" {
		return errors.New("there are no model files here: /show info, parameters, system and template have what would be in one")
	}
	if !slices.Contains(views, what) {
		return fmt.Errorf("/show has no %q%s: want one of %s", clip(what), suggest(what, views), strings.Join(views, ", "))
	}
	switch what {
	case "system":
		fmt.Fprintln(t.out, cmp.Or(t.system, "(no system message)"))
		return nil
	case "parameters":
		return t.viewParameters()
	}
	d, err := t.description(ctx)
	if err != nil {
		return err
	}
	switch what {
	case "template":
		fmt.Fprintln(t.out, strings.TrimRight(d.Template, "\n"))
	case "license":
		fmt.Fprintln(t.out, cmp.Or(strings.TrimRight(d.License, "\n"), "(the file names no license)"))
	default:
		return t.viewInfo(&d)
	}
	return nil
}

func (t *talk) viewInfo(d *ollamaapi.ShowResponse) error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	row("model", t.model)
	if t.in != nil {
		row("file", t.in.File.Path())
	} else {
		row("server", t.at.url)
	}
	row("architecture", d.Details.Family)
	row("parameters", d.Details.ParameterSize)
	row("quantization", d.Details.QuantizationLevel)
	row("can", strings.Join(d.Capabilities, ", "))
	row("context", fmt.Sprintf("%d tokens", t.at.context))
	row("messages", fmt.Sprint(len(t.messages)))
	if t.format != nil {
		row("format", t.format.name)
	}
	row("thinks", t.think)
	return table.Flush()
}

func (t *talk) viewParameters() error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, p := range t.parameters() {
		value := reflect.ValueOf(p.value).Elem()
		switch {
		case value.Kind() != reflect.Pointer:
			fmt.Fprintf(table, "%s\t%v\t\n", p.name, value)
		case value.IsNil() && t.in == nil:
			fmt.Fprintf(table, "%s\t\t(the server's)\n", p.name)
		case value.IsNil():
			fmt.Fprintf(table, "%s\t%v\t(the model's)\n", p.name, p.usual)
		default:
			fmt.Fprintf(table, "%s\t%v\t\n", p.name, value.Elem())
		}
	}
	return table.Flush()
}

// stats shows what the last answer took.
func (t *talk) stats(context.Context, string) error {
	f := t.last
	if f == nil {
		return errors.New("nothing has been answered yet")
	}
	u := f.usage
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	rate := func(perSecond float64) string {
		if f.timings == nil {
			return ""
		}
		return fmt.Sprintf(", %.1f tokens/s", perSecond)
	}
	var prefill, decode float64
	if m := f.timings; m != nil {
		prefill, decode = m.PromptPerSecond, m.PredictedPerSecond
	}
	fmt.Fprintf(table, "first piece after\t%s\n", timeText(f.first.Seconds()))
	fmt.Fprintf(table, "prompt\t%d tokens, %d of them from the cache%s\n", u.PromptTokens, u.PromptTokensDetails.CachedTokens, rate(prefill))
	fmt.Fprintf(table, "answer\t%d tokens%s\n", u.CompletionTokens, rate(decode))
	if m := f.timings; m != nil && m.DraftN != nil && m.DraftNAccepted != nil {
		fmt.Fprintf(table, "guessed\t%d tokens, %d of them right\n", *m.DraftN, *m.DraftNAccepted)
	}
	fmt.Fprintf(table, "context\t%d of %d tokens\n", u.PromptTokens+u.CompletionTokens, t.at.context)
	return table.Flush()
}
