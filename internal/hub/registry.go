package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// A registry as containers have them keeps models, too: GET /v2/REPO/manifests/TAG
// lists blobs, of which one or several are GGUF files. Ollama's registry is of this
// kind; in it other blobs are the model's template and parameters.

// ollamaRegistry is the registry whose names need no oci:// before them.
const ollamaRegistry = "registry.ollama.ai"

// Media types of blobs.
const (
	ollamaModel     = "application/vnd.ollama.image.model"
	ollamaTemplate  = "application/vnd.ollama.image.template"
	ollamaParams    = "application/vnd.ollama.image.params"
	ollamaSystem    = "application/vnd.ollama.image.system"
	ollamaMessages  = "application/vnd.ollama.image.messages"
	ollamaAdapter   = "application/vnd.ollama.image.adapter"
	ollamaProjector = "application/vnd.ollama.image.projector"
	dockerModel     = "application/vnd.docker.ai.gguf.v3"
	dockerManifest  = "application/vnd.docker.distribution.manifest.v2+json"
)

// Bounds on what a registry may send that is not a model.
const (
	maxManifest = 4 << 20
	maxLayer    = 1 << 20
)

// parseRegistry reads HOST[:PORT]/REPO[:TAG] or …@sha256:DIGEST. Names of Ollama's own
// models have no organisation: theirs is "library".
func parseRegistry(name, rest string) (reference, error) {
	if host, repo, ok := strings.Cut(rest, "/"); ok && host == ollamaRegistry && !strings.Contains(repo, "/") {
		rest = host + "/library/" + repo
	}
	ref, err := registry.ParseReference(rest)
	if err != nil || !isLocal(ref.Repository) || !isLocal(strings.ReplaceAll(ref.Registry, ":", "")) {
		return reference{}, fmt.Errorf("%w %q: a model of a registry is oci://HOST/REPOSITORY[:TAG], one of Ollama's %s/NAME[:TAG]", ErrUnknown, name, ollamaRegistry)
	}
	r := reference{kind: oci, host: ref.Registry, repo: ref.Repository, tag: ref.ReferenceOrDefault()}
	if ref.Reference == "" {
		r.tag = "latest"
	}
	return r, nil
}

// digestTag matches the folder of a model that was named by its digest.
var digestTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)

// registryName is the name under which a file below oci/ in the store is pulled.
func registryName(rest string) (name string, ok bool) {
	dir := path.Dir(rest)
	repo, tag := path.Dir(dir), path.Base(dir)
	if strings.Count(dir, "/") < 2 {
		return "", false
	}
	if digestTag.MatchString(tag) {
		tag = "@" + strings.Replace(tag, "-", ":", 1)
	} else {
		tag = ":" + tag
	}
	if own, ollama := strings.CutPrefix(repo, ollamaRegistry+"/"); ollama {
		return ollamaRegistry + "/" + strings.TrimPrefix(own, "library/") + tag, true
	}
	return "oci://" + repo + tag, true
}

// registryClient asks registries: it gets a token where one asks for it, with the
// login of `docker login` or none.
func (s *Store) registryClient() (*auth.Client, error) {
	c := &auth.Client{Client: s.Client, Cache: auth.NewCache()}
	c.SetUserAgent("penstock")
	if s.Logins == "" {
		return c, nil
	}
	logins, err := credentials.NewStore(s.Logins, credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("the logins for registries in %s cannot be read: %w", s.Logins, err)
	}
	c.Credential = credentials.Credential(logins)
	return c, nil
}

// blobStore is a repository of a registry.
type blobStore struct {
	store  *Store
	ref    reference
	base   string // address of the repository
	client *auth.Client
}

func (s *Store) repositoryOf(ref reference) (*blobStore, error) {
	client, err := s.registryClient()
	if err != nil {
		return nil, err
	}
	address := registry.Reference{Registry: ref.host, Repository: ref.repo}.Host()
	scheme := "https"
	if isLoopback(address) {
		scheme = "http" // as docker has it: a registry on this machine rarely has a certificate
	}
	return &blobStore{store: s, ref: ref, base: scheme + "://" + address + "/v2/" + ref.repo, client: client}, nil
}

// isLoopback reports whether an address is of this machine.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// do sends a request, and what a registry wants to know of the sender.
func (b *blobStore) do(req *http.Request) (*http.Response, error) {
	req = req.WithContext(auth.AppendRepositoryScope(req.Context(), registry.Reference{Registry: b.ref.host, Repository: b.ref.repo}, auth.ActionPull))
	resp, err := b.client.Do(req)
	var answer *errcode.ErrorResponse
	login := fmt.Sprintf("check the name; if it is private, log in first: docker login %s (or oras login)", b.ref.host)
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return nil, fmt.Errorf("%s asks for a login: %w: %s", b.ref.host, errRefused, login)
	case errors.As(err, &answer) && answer.StatusCode >= 400 && answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests:
		return nil, fmt.Errorf("%s gives no token (status %d): %w: %s", answer.URL.Host, answer.StatusCode, errRefused, login)
	}
	return resp, err
}

// manifest fetches the list of the model's blobs.
func (b *blobStore) manifest(ctx context.Context, p retryPolicy) (m v1.Manifest, err error) {
	data, err := b.document(ctx, "/manifests/"+b.ref.tag, strings.Join([]string{dockerManifest, v1.MediaTypeImageManifest}, ", "), p)
	if err != nil {
		return m, err
	}
	if want, pinned := strings.CutPrefix(b.ref.tag, "sha256:"); pinned && sumOf(data) != want {
		return m, fmt.Errorf("%w: the manifest's SHA-256 is %s", errWrongDigest, sumOf(data))
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s sent a manifest that cannot be read: %w", b.ref.host, err)
	}
	return m, nil
}

// layer fetches a small blob.
func (b *blobStore) layer(ctx context.Context, d v1.Descriptor, p retryPolicy) ([]byte, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	if d.Size > maxLayer {
		return nil, fmt.Errorf("the %s has %d bytes, more than any has", path.Base(d.MediaType), d.Size)
	}
	data, err := b.document(ctx, "/blobs/"+d.Digest.String(), "*/*", p)
	if err == nil && "sha256:"+sumOf(data) != d.Digest.String() {
		err = fmt.Errorf("%w: the SHA-256 of the %s is %s, not %s", errWrongDigest, path.Base(d.MediaType), sumOf(data), d.Digest.Encoded())
	}
	return data, err
}

func (b *blobStore) document(ctx context.Context, place, accept string, p retryPolicy) ([]byte, error) {
	return insist(ctx, p, nil, func() ([]byte, error) {
		_, data, err := b.store.fetchDocument(ctx, document{address: b.base + place, accept: accept, most: maxManifest, do: b.do}, p)
		return data, err
	})
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// planRegistry finds out which blobs a model of a registry has.
func (s *Store) planRegistry(ctx context.Context, ref reference) (job, error) {
	b, err := s.repositoryOf(ref)
	if err != nil {
		return job{}, err
	}
	m, err := b.manifest(ctx, s.retry)
	if err != nil {
		return job{}, diagnose(err, s.Root)
	}
	files, err := weightsOf(m.Layers)
	if err != nil {
		return job{}, err
	}
	d, err := b.defaults(ctx, m.Layers, s.retry)
	if err != nil {
		return job{}, err
	}
	var jobs []job
	for i, layer := range files {
		ref.file = fileOf(ref, layer, i, len(files))
		ref.url = b.base + "/blobs/" + layer.Digest.String()
		j := s.planFile(ref, remote{url: ref.url, size: layer.Size, sha256: layer.Digest.Encoded(), do: b.do})
		j.part = len(files) > 1
		jobs = append(jobs, j)
	}
	j := jobs[0]
	j.rest, j.defaults = jobs[1:], d
	return j, nil
}

// weightsOf are the layers with the model, in order.
func weightsOf(layers []v1.Descriptor) (files []v1.Descriptor, err error) {
	var kinds []string
	for _, l := range layers {
		title := l.Annotations[v1.AnnotationTitle]
		switch {
		case l.MediaType == ollamaAdapter:
			return nil, errors.New("it has an adapter (LoRA), which cannot be served: take the model that it was made for, or one with the adapter merged into it")
		case l.MediaType == ollamaProjector || strings.HasPrefix(strings.ToLower(path.Base(title)), "mmproj"):
			// what it says of pictures is not used: the model answers texts without it
		case l.MediaType == ollamaModel || l.MediaType == dockerModel || isGGUF(title):
			if err := checkDigest(l); err != nil {
				return nil, err
			}
			files = append(files, l)
		}
		kinds = append(kinds, l.MediaType)
	}
	switch {
	case len(files) == 0:
		return nil, fmt.Errorf("it has no GGUF file, but layers of the kinds %s", strings.Join(abridged(slices.Compact(slices.Sorted(slices.Values(kinds)))), ", "))
	case len(files) > 1:
		return sortedParts(files)
	}
	return files, nil
}

// checkDigest refuses a blob of a manifest that cannot be asked for and verified. The
// methods of a digest that is not valid panic.
func checkDigest(d v1.Descriptor) error {
	if d.Digest.Validate() != nil || d.Digest.Algorithm() != "sha256" || d.Size < 0 {
		return fmt.Errorf("its manifest names a blob %.80q, which has no SHA-256", d.Digest)
	}
	return nil
}

// sortedParts brings the parts of a split model into order.
func sortedParts(files []v1.Descriptor) ([]v1.Descriptor, error) {
	title := func(d v1.Descriptor) string { return path.Base(d.Annotations[v1.AnnotationTitle]) }
	slices.SortStableFunc(files, func(a, b v1.Descriptor) int { return strings.Compare(title(a), title(b)) })
	var names []string
	for _, f := range files {
		names = append(names, title(f))
	}
	if want := parts(names[0]); !slices.Equal(want, names) {
		return nil, fmt.Errorf("it has several GGUF files that are not the parts of one model: %s", strings.Join(abridged(names), ", "))
	}
	return files, nil
}

// fileOf is the name that a blob gets in the store.
func fileOf(ref reference, layer v1.Descriptor, i, n int) string {
	if title := path.Base(layer.Annotations[v1.AnnotationTitle]); n > 1 && isGGUF(title) && isLocal(title) {
		return title
	}
	tag, _, _ := strings.Cut(strings.TrimPrefix(ref.tag, "sha256:"), ":")
	return fmt.Sprintf("%s-%.20s.gguf", path.Base(ref.repo), tag)
}
