package serving

// onRender is POST /ui/render, which the page at /ui/ has for itself.
const onRender Routes = 1 << 23

// pageParameters are the rows of that route.
var pageParameters = []Parameter{
	{Name: "text", Honoured: onRender, Note: "Markdown"},
	{Name: "done", Honoured: onRender, Note: "no more text will follow"},
}
