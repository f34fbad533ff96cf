package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// A Python package index answers GET INDEX/PROJECT/ with the list of the
// project's files: as JSON (PEP 691), or, older ones, as a page of links (PEP 503).

// maxListing bounds what is read of a list of files.
const maxListing = 16 << 20

// indexFile is a file of a project.
type indexFile struct {
	Filename string            `json:"filename"`
	URL      string            `json:"url"` // may be relative to the list's address
	Size     int64             `json:"size"`
	Hashes   map[string]string `json:"hashes"`
}

// wheelFile is where the wheel of a pinned requirement, such as name==1.0, lies.
func (s *Store) wheelFile(ctx context.Context, index, requirement string, p retryPolicy) (remote, error) {
	project, _, _ := strings.Cut(requirement, "==")
	address := strings.TrimRight(index, "/") + "/" + normalized(project) + "/"
	at, files, err := s.listProject(ctx, address, p)
	if err != nil {
		return remote{}, err
	}
	r, err := wheelIn(files, at, requirement)
	r.policy = p
	return r, err
}

// wheelIn finds a requirement's wheel in the list of files that is at the address.
func wheelIn(files []indexFile, at *url.URL, requirement string) (remote, error) {
	project, version, _ := strings.Cut(requirement, "==")
	for _, f := range files {
		fields := strings.Split(strings.TrimSuffix(f.Filename, ".whl"), "-")
		if !strings.HasSuffix(f.Filename, ".whl") || len(fields) < 5 || normalized(fields[0]) != normalized(project) || fields[1] != version {
			continue
		}
		u, err := at.Parse(f.URL)
		if err != nil {
			return remote{}, fmt.Errorf("%s lists %.100q with an address that cannot be read", at.Host, f.Filename)
		}
		if u.User == nil && u.Host == at.Host && u.Scheme == at.Scheme {
			u.User = at.User // who may see the list may fetch the file
		}
		r := remote{url: u.String(), size: -1, sha256: strings.ToLower(f.Hashes["sha256"])}
		if f.Size > 0 {
			r.size = f.Size
		}
		if sum, ok := strings.CutPrefix(u.Fragment, "sha256="); ok && r.sha256 == "" {
			r.sha256 = strings.ToLower(sum)
		}
		return r, nil
	}
	return remote{}, fmt.Errorf("%s has no wheel of %s", at.Host, requirement)
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalized is the one spelling of a project's name that indexes use.
func normalized(project string) string {
	return strings.ToLower(separators.ReplaceAllString(project, "-"))
}

// listProject reads the list of a project's files, and says where it came from.
func (s *Store) listProject(ctx context.Context, address string, p retryPolicy) (at *url.URL, files []indexFile, err error) {
	const accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
	_, err = insist(ctx, p, nil, func() (struct{}, error) {
		resp, body, err := s.get(ctx, address, accept, p)
		if err != nil {
			return struct{}{}, err
		}
		at = resp.Request.URL
		files, err = parseListing(resp, body)
		return struct{}{}, err
	})
	if errors.Is(err, errRefused) {
		err = errors.New("access is refused: the address in PIP_INDEX_URL or pip's configuration needs a user and password")
	}
	return at, files, err
}

// get fetches a small document.
func (s *Store) get(ctx context.Context, address, accept string, p retryPolicy) (*http.Response, []byte, error) {
	return s.fetchDocument(ctx, document{address: address, accept: accept, most: maxListing}, p)
}

// document is a small answer of a server.
type document struct {
	address string
	accept  string
	most    int64                                       // bytes
	do      func(*http.Request) (*http.Response, error) // nil: as the store sends any request
}

func (s *Store) fetchDocument(ctx context.Context, d document, p retryPolicy) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.silence)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address, nil)
	if err != nil {
		return nil, nil, err
	}
	s.authorize(req)
	req.Header.Set("Accept", d.accept)
	resp, err := s.send(req, d.do)
	if err != nil {
		return nil, nil, p.requestError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, statusError(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, d.most))
	if err != nil {
		return nil, nil, transientError{fmt.Errorf("the answer of %s broke off: %w", resp.Request.URL.Host, err)}
	}
	return resp, body, nil
}

// link is a link of a page, with its address and its text.
var link = regexp.MustCompile(`(?is)<a\b[^>]*?\bhref\s*=\s*["']([^"']*)["'][^>]*>(.*?)</a\s*>`)

func parseListing(resp *http.Response, body []byte) ([]indexFile, error) {
	host := resp.Request.URL.Host
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(kind, "json"):
		var list struct {
			Files []indexFile `json:"files"`
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, fmt.Errorf("%s does not list files as a package index does; is PIP_INDEX_URL right? %w", host, err)
		}
		return list.Files, nil
	case strings.HasSuffix(kind, "html"):
		var files []indexFile
		for _, m := range link.FindAllStringSubmatch(string(body), -1) {
			address := html.UnescapeString(m[1])
			plain, _, _ := strings.Cut(address, "#")
			name, err := url.PathUnescape(path.Base(plain))
			if err == nil {
				files = append(files, indexFile{Filename: name, URL: address})
			}
		}
		return files, nil
	}
	return nil, fmt.Errorf("%s answers with %q, not as a package index does; is PIP_INDEX_URL right?", host, kind)
}
