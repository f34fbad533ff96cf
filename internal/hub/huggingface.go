package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// repoFile is a file as the Hub's API lists it.
type repoFile struct {
	Type string `json:"type"` // "file" or "directory"
	Path string `json:"path"`
	Size int64  `json:"size"`
	LFS  struct {
		OID string `json:"oid"` // SHA-256
	} `json:"lfs"`
}

// locate finds the file of a repository that ref means, or all parts of a split one.
func (s *Store) locate(ctx context.Context, ref reference) ([]repoFile, error) {
	files, err := s.listRepository(ctx, ref, s.retry)
	if err != nil {
		return nil, diagnose(err, s.Root)
	}
	var names []string
	for _, f := range files {
		if f.Type == "file" && isGGUF(f.Path) && isLocal(f.Path) && f.Size >= 0 {
			names = append(names, f.Path)
		}
	}
	name, err := choose(names, ref.file)
	if err != nil {
		return nil, err
	}
	return located(slices.DeleteFunc(files, func(f repoFile) bool { return !slices.Contains(names, f.Path) }), name)
}

// fetchPinned downloads the repository's copy of a file of the catalogue, after
// making sure by the repository's list that it is that very file.
func (s *Store) fetchPinned(ctx context.Context, e Entry, part string, p retryPolicy, progress Progress) error {
	ref := reference{repo: e.repo}
	files, err := s.listRepository(ctx, ref, p)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(files, func(f repoFile) bool { return f.Path == e.repoFile })
	if i < 0 {
		return fmt.Errorf("it has no file %s", e.repoFile)
	}
	if sum := files[i].LFS.OID; sum != "" && sum != e.SHA256 { // some mirrors list no digests
		return fmt.Errorf("its %s is another file: its SHA-256 is %q, not %s", e.repoFile, sum, e.SHA256)
	}
	r := remote{url: s.fileURL(ref, e.repoFile), size: e.Size, sha256: e.SHA256, policy: p}
	return s.download(ctx, r, part, progress)
}

// maxPages bounds how many pages a list of files may have.
const maxPages = 100

// listRepository lists the files of a repository, of which the Hub gives a page at a
// time.
func (s *Store) listRepository(ctx context.Context, ref reference, p retryPolicy) (all []repoFile, err error) {
	address := s.Endpoint + "/api/models/" + ref.repo + "/tree/" + ref.branch() + "?recursive=true"
	for range maxPages {
		files, next, err := s.listPage(ctx, address, p)
		if err != nil {
			return nil, err
		}
		if all = append(all, files...); next == "" {
			return all, nil
		}
		address = next
	}
	return nil, fmt.Errorf("%s lists more files than a repository of models has", ref.repo)
}

// listPage reads a page of a list, and where the next one is.
func (s *Store) listPage(ctx context.Context, address string, p retryPolicy) (files []repoFile, next string, err error) {
	files, err = insist(ctx, p, nil, func() (files []repoFile, err error) {
		resp, body, err := s.get(ctx, address, "application/json", p)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &files); err != nil {
			return nil, fmt.Errorf("%s does not list files as Hugging Face does; is HF_ENDPOINT right? It sent %.40q", resp.Request.URL.Host, body)
		}
		next, err = nextPage(resp)
		return files, err
	})
	return files, next, err
}

// nextLink matches the next page in a Link header.
var nextLink = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)

// nextPage is the address of the page after an answer; it is on the same server, which
// alone is sent the token.
func nextPage(resp *http.Response) (string, error) {
	m := nextLink.FindStringSubmatch(strings.Join(resp.Header.Values("Link"), ", "))
	if m == nil {
		return "", nil
	}
	u, err := resp.Request.URL.Parse(m[1])
	if err != nil || u.Host != resp.Request.URL.Host || u.Scheme != resp.Request.URL.Scheme {
		return "", fmt.Errorf("%s continues its list of files at %.100q, which is not followed", resp.Request.URL.Host, m[1])
	}
	return u.String(), nil
}

// branch is the revision as it stands in addresses.
func (r reference) branch() string {
	if r.rev == "" {
		return "main"
	}
	return url.PathEscape(r.rev)
}

func (s *Store) fileURL(ref reference, file string) string {
	escaped := (&url.URL{Path: file}).EscapedPath()
	return s.Endpoint + "/" + ref.repo + "/resolve/" + ref.branch() + "/" + escaped
}

// preferred are the formats to take when a repository has several files and the
// name does not say which one. Those that most people use come first: small, and
// nearly as good as the original.
var preferred = []string{"Q4_K_M", "Q4_0", "Q4_1", "Q4_K_S", "Q5_K_M", "Q8_0", "F16"}

// choose picks the file that want means. want is a path, a base name, or a tag
// such as Q8_0 with which the name ends; if it is empty, a preferred format is
// taken. Of a split model it picks the first part.
func choose(files []string, want string) (string, error) {
	want = first(want)
	files = slices.DeleteFunc(models(files), func(f string) bool {
		return strings.HasPrefix(strings.ToLower(path.Base(f)), "mmproj") // a vision projector, not a model
	})
	if len(files) == 0 {
		return "", errors.New("the repository has no .gguf file: look for one with GGUF in its name")
	}
	if want == "latest" && len(matching(files, want)) == 0 {
		want = "" // Ollama's tag for a name without one
	}
	var found []string
	switch {
	case want != "":
		found = matching(files, want)
	case len(files) == 1:
		found = files
	}
	for i := 0; want == "" && len(found) == 0 && i < len(preferred); i++ {
		found = matching(files, preferred[i])
	}
	if len(found) != 1 {
		problem := "which of its files? "
		if want != "" && len(found) == 0 {
			problem = fmt.Sprintf("it has no file %q: ", want)
		}
		return "", fmt.Errorf("%sname one as hf.co/ORG/REPO:FILE: %s", problem, strings.Join(abridged(files), ", "))
	}
	return found[0], nil
}

// matching lists the files that want can mean. A file that is called exactly like
// want is the only one.
func matching(files []string, want string) []string {
	if slices.Contains(files, want) {
		return []string{want}
	}
	var found []string
	for _, f := range files {
		base := strings.ToLower(path.Base(f))
		stem, tag := strings.TrimSuffix(partName.ReplaceAllString(base, ".gguf"), ".gguf"), strings.ToLower(want)
		rest, tagged := strings.CutSuffix(stem, tag)
		if base == tag || tagged && (rest == "" || strings.ContainsRune("-._", rune(rest[len(rest)-1]))) {
			found = append(found, f)
		}
	}
	return found
}

func abridged(files []string) []string {
	const limit = 20
	if len(files) > limit {
		return append(files[:limit:limit], "…")
	}
	return files
}
