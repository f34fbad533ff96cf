package instance

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/prefixstore"
)

// prefixes is the part of the folder of prefixes that belongs to a model which is loaded
// with these options.
func prefixes(f *gguf.File, o Options) (*prefixstore.Model, error) {
	digest, err := o.Prefixes.Digest(f.Files(), func() (string, error) { return contentOf(f) })
	if err != nil {
		return nil, err
	}
	return o.Prefixes.Model(prefixstore.Root(digest, o.Build, o.Tier.String(), fmt.Sprint(o.KV), fmt.Sprint(o.Weights))), nil
}

// contentOf is a digest of all that is in a model's file: metadata, and every byte of the
// tensors. The tensors' own digests are computed side by side.
func contentOf(f *gguf.File) (string, error) {
	h := sha256.New()
	for _, k := range f.Keys() {
		v, _ := f.Value(k)
		fmt.Fprintf(h, "%q %T %v\n", k, v, v)
	}
	tensors := f.Tensors()
	sums := make([][sha256.Size]byte, len(tensors))
	errs := make([]error, len(tensors))
	var all sync.WaitGroup
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, t := range tensors {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			errs[i] = f.Guard(func() error { sums[i] = sha256.Sum256(t.Data); return nil })
		})
	}
	all.Wait()
	if err := cmp.Or(errs...); err != nil {
		return "", err
	}
	for i, t := range tensors {
		fmt.Fprintf(h, "%q %v %v %x\n", t.Name, t.Type, t.Shape, sums[i])
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
