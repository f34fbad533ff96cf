package serving

// Infill is a text with a gap that the model is to fill.
type Infill struct {
	Prefix, Suffix string
	Files          []InfillFile // of the same repository
}

// InfillFile is a file that the model is shown besides the one with the gap.
type InfillFile struct{ Name, Text string }

// CanInfill refuses a request for fill-in-the-middle, which param asks for, if the
// model does not have it.
func (d *Deployment) CanInfill(param string) *Error {
	if d.Tokenizer.Infill().Complete() {
		return nil
	}
	e := Bad(param, "%s cannot be used: this model has no tokens for filling in the middle; a code model such as qwen2.5-coder has them", param)
	e.Code = "unsupported_parameter"
	return e
}

// bytes is how much text there is.
func (in *Infill) bytes() int {
	n := len(in.Prefix) + len(in.Suffix)
	for _, f := range in.Files {
		n += len(f.Name) + len(f.Text)
	}
	return n
}

// EncodeInfill turns a text with a gap into a prompt:
//
//	[repository]repository
//	[file]name
//	text of another file
//	[file]gap
//	[prefix]text before the gap[suffix]text after it[middle]
//
// The lines above the last come only with other files. Nothing that a client wrote
// becomes a control token. A prompt that cannot fit is refused.
func (d *Deployment) EncodeInfill(in *Infill) ([]int32, *Error) {
	if err := d.fits(in.bytes()); err != nil {
		return nil, err
	}
	t := d.Tokenizer.Infill()
	p := infillPrompt{model: d}
	if first := d.Tokenizer.BOS(); d.Tokenizer.AddsBOS() {
		p.ids = append(p.ids, first)
	}
	if len(in.Files) > 0 {
		p.files(t.Repository, t.File, in.Files)
	}
	p.section(t.Prefix, in.Prefix)
	p.section(t.Suffix, in.Suffix)
	p.section(t.Middle, "")
	return p.ids, p.err
}

// infillPrompt is a prompt that grows until it is too long.
type infillPrompt struct {
	model *Deployment
	ids   []int32
	err   *Error
}

// section appends a control token, if the model has it, and a text.
func (p *infillPrompt) section(token int32, text string) {
	if p.err != nil {
		return
	}
	if token >= 0 {
		p.ids = append(p.ids, token)
	}
	if text == "" {
		return
	}
	most := p.model.most()
	ids, err := p.model.Tokenizer.EncodeClient(text, most)
	if p.ids = append(p.ids, ids...); err != nil || len(p.ids) > most {
		p.err = TooLong(most, p.model.Context(), "more than ")
	}
}

// files appends the other files. A model without a token that begins a file is
// shown them with a line between.
func (p *infillPrompt) files(repository, file int32, all []InfillFile) {
	if repository >= 0 {
		p.section(repository, "repository\n")
	}
	for _, f := range all {
		if file >= 0 {
			p.section(file, f.Name+"\n"+f.Text)
		} else {
			p.section(-1, "\n\n--- "+f.Name+" ---\n\n"+f.Text)
		}
	}
	if file >= 0 {
		p.section(file, "gap\n")
	}
}
