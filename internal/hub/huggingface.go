package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// maxListing bounds what we read of a repository's list of files.
const maxListing = 16 << 20

// locate finds the file of a repository that ref means.
func (s *Store) locate(ctx context.Context, ref reference) (repoFile, error) {
	files, err := s.listRepository(ctx, ref.repo)
	if err != nil {
		return repoFile{}, diagnose(err, s.Root)
	}
	var names []string
	for _, f := range files {
		if f.Type == "file" && isGGUF(f.Path) && isLocal(f.Path) && f.Size >= 0 {
			names = append(names, f.Path)
		}
	}
	name, err := choose(names, ref.file)
	if err != nil {
		return repoFile{}, err
	}
	i := slices.IndexFunc(files, func(f repoFile) bool { return f.Path == name })
	return files[i], nil
}

func (s *Store) listRepository(ctx context.Context, repo string) ([]repoFile, error) {
	address := s.Endpoint + "/api/models/" + repo + "/tree/main?recursive=true"
	pause := s.retry.pause
	for attempt := 1; ; attempt++ {
		files, err := s.listOnce(ctx, address)
		var transient transientError
		if err == nil || !errors.As(err, &transient) || attempt >= s.retry.attempts {
			return files, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

func (s *Store) listOnce(ctx context.Context, address string) ([]repoFile, error) {
	ctx, cancel := context.WithTimeout(ctx, s.retry.silence)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	s.authorize(req)
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, requestError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing))
	if err != nil {
		return nil, transientError{err}
	}
	var files []repoFile
	if err := json.Unmarshal(body, &files); err != nil {
		return nil, fmt.Errorf("%s does not list files as Hugging Face does; is HF_ENDPOINT right? %w", req.URL.Host, err)
	}
	return files, nil
}

func (s *Store) fileURL(repo, file string) string {
	escaped := (&url.URL{Path: file}).EscapedPath()
	return s.Endpoint + "/" + repo + "/resolve/main/" + escaped
}

// preferred are the formats taken when a repository has several and the name
// does not say which: the usual trade of size for quality first.
var preferred = []string{"Q4_K_M", "Q4_0", "Q4_1", "Q4_K_S", "Q5_K_M", "Q8_0", "F16"}

var splitFile = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// choose picks the file that want means: its path, its base name, or a tag such
// as Q8_0 that its name ends with; if want is empty, a preferred one.
func choose(files []string, want string) (string, error) {
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		return strings.HasPrefix(strings.ToLower(path.Base(f)), "mmproj") // a vision projector, not a model
	})
	if len(files) == 0 {
		return "", errors.New("the repository has no .gguf file: look for one with GGUF in its name")
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
	if splitFile.MatchString(found[0]) {
		return "", fmt.Errorf("%s is one of several parts of a model, which is not supported: choose a smaller format, or join them with llama-gguf-split --merge", found[0])
	}
	return found[0], nil
}

// matching are the files that want can mean, the exact one alone if there is one.
func matching(files []string, want string) []string {
	if slices.Contains(files, want) {
		return []string{want}
	}
	var found []string
	for _, f := range files {
		base := strings.ToLower(path.Base(f))
		stem, tag := strings.TrimSuffix(base, ".gguf"), strings.ToLower(want)
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
