package instance

import (
	"crypto/sha256"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/prefixstore"
)

// prefixes is the part of the folder of prefixes that belongs to a model which is loaded
// with these options.
func prefixes(f *gguf.File, o Options) (*prefixstore.Model, error) {
	digest := o.Prefixes.Digest(f.Path(), func() string { return contentOf(f) })
	return o.Prefixes.Model(prefixstore.Root(digest, o.Build, o.Tier.String(), fmt.Sprint(o.KV), fmt.Sprint(o.Weights)))
}

// contentOf is a digest of all that is in a model's file: metadata, and every byte of the
// tensors. The tensors' own digests are computed side by side.
func contentOf(f *gguf.File) string {
	h := sha256.New()
	for _, k := range f.Keys() {
		v, _ := f.Value(k)
		fmt.Fprintf(h, "%q %T %v\n", k, v, v)
	}
	tensors := f.Tensors()
	sums := make([][sha256.Size]byte, len(tensors))
	var all errgroup.Group
	all.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range tensors {
		all.Go(func() error { sums[i] = sha256.Sum256(t.Data); return nil })
	}
	_ = all.Wait() // none of them fails
	for i, t := range tensors {
		fmt.Fprintf(h, "%q %v %v %x\n", t.Name, t.Type, t.Shape, sums[i])
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
