package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// kind is what sort of thing a name refers to. The text of each kind is also the
// directory of the store in which such files are kept.
type kind string

const (
	localFile   kind = ""
	catalogue   kind = "catalogue"
	huggingFace kind = "hf.co"
	oci         kind = "oci"    // a registry as containers have them
	own         kind = "copies" // models under names that people have given them
	plainHTTP   kind = "http"
	plainHTTPS  kind = "https"
)

// reference is a name taken apart.
type reference struct {
	kind   kind
	repo   string // ORG/REPO of Hugging Face; repository of a registry
	host   string // of the registry
	tag    string // of a registry's repository, or its digest
	rev    string // branch, tag or commit of Hugging Face; empty: main
	file   string // path of a local file; file in a repository, or a tag, or empty; host/path of a URL; file of the catalogue
	url    string // to fetch, if it is a URL; #sha256=… pins its content
	sha256 string // that the file must have, if the name says so
}

// dir is where the store keeps the files of the repository.
func (r reference) dir() string {
	switch {
	case r.kind == oci:
		return path.Join(string(r.kind), r.host, r.repo, strings.Replace(r.tag, ":", "-", 1))
	case r.rev != "":
		return path.Join(string(r.kind), r.repo+"@"+url.PathEscape(r.rev))
	}
	return path.Join(string(r.kind), r.repo)
}

// stored is where the store keeps the file.
func (r reference) stored() string { return path.Join(r.dir(), r.file) }

// nameOf is the name under which a file of the store is pulled.
func (s *Store) nameOf(stored string) (name string, ok bool) {
	place, rest, _ := strings.Cut(stored, "/")
	switch kind(place) {
	case catalogue:
		for _, m := range s.models {
			if m.File == rest {
				return m.Name, true
			}
		}
	case huggingFace:
		if parts := strings.SplitN(rest, "/", 3); len(parts) == 3 {
			repo, rev, pinned := strings.Cut(parts[1], "@")
			name := "hf.co/" + parts[0] + "/" + repo + ":" + parts[2]
			if rev, err := url.PathUnescape(rev); pinned && err == nil {
				name += "@" + rev
			}
			return name, true
		}
	case oci:
		return registryName(rest)
	case own:
		return stem(strings.TrimSuffix(rest, partName.FindString(rest))), isGGUF(rest) && !strings.Contains(rest, "/")
	case plainHTTP, plainHTTPS:
		return place + "://" + rest, true
	}
	return "", false
}

// stem is a file's name without directory and .gguf: its short name.
func stem(stored string) string {
	base := path.Base(stored)
	if isGGUF(base) {
		base = base[:len(base)-len(".gguf")]
	}
	return base
}

// short finds the file of the store that has this short name.
func (s *Store) short(name string) (ref reference, ok bool, err error) {
	if ref, ok, err = s.ownCopy(name); ok || err != nil {
		return ref, ok, err
	}
	files, err := s.filesIn(".")
	if err != nil {
		return reference{}, false, err
	}
	var found []string
	for _, stored := range files {
		if strings.EqualFold(stem(stored), stem(name)) {
			found = append(found, s.longName(stored))
		}
	}
	switch len(found) {
	case 0:
		return reference{}, false, nil
	case 1:
		if filepath.IsAbs(found[0]) {
			return reference{kind: localFile, file: found[0]}, true, nil
		}
		ref, err = s.parse(found[0])
		return ref, true, err
	}
	return reference{}, false, fmt.Errorf("%q may mean several models, give the whole name: %s", name, strings.Join(abridged(found), ", "))
}

// ownCopy finds the copy that somebody has given this name.
func (s *Store) ownCopy(name string) (ref reference, ok bool, err error) {
	files, err := s.filesIn(string(own))
	for _, f := range files {
		if n, ok := s.nameOf(path.Join(string(own), f)); ok && strings.EqualFold(n, stem(name)) {
			return reference{kind: own, file: f}, true, nil
		}
	}
	return ref, false, err
}

// longName is the name under which a file of the store is pulled; that of a file
// which somebody has put there is its path.
func (s *Store) longName(stored string) string {
	if name, ok := s.nameOf(stored); ok {
		return name
	}
	path := s.at(stored)
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// names returns the shortest name of each file of the store that parse
// understands.
func (s *Store) names(files []string) []string {
	count := map[string]int{}
	for _, stored := range files {
		count[strings.ToLower(stem(stored))]++
	}
	names := make([]string, len(files))
	for i, stored := range files {
		names[i] = s.longName(stored)
		_, known := lookup(s.models, stem(stored)) // means that model, not this file
		if short := stem(stored); !strings.HasPrefix(stored, string(own)+"/") && !strings.HasPrefix(stored, string(catalogue)+"/") && count[strings.ToLower(short)] == 1 && !known {
			names[i] = short
		}
	}
	return names
}

// parse reads a model's name: a URL, hf.co/ORG/REPO[:FILE][@REVISION], a name of a
// registry, a name of the catalogue, the short name of a file in the store, or the path of a file.
func (s *Store) parse(name string) (reference, error) {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return parseURL(name)
	}
	for _, prefix := range []string{"hf.co/", "huggingface.co/"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return parseRepository(name, rest)
		}
	}
	if rest, ok := strings.CutPrefix(name, "oci://"); ok {
		return parseRegistry(name, rest)
	}
	if strings.HasPrefix(name, ollamaRegistry+"/") {
		return parseRegistry(name, name)
	}
	for _, e := range s.models {
		if e.named(name) {
			return reference{kind: catalogue, file: e.File}, nil
		}
	}
	if !isRegularName(name) && !strings.ContainsRune(name, filepath.Separator) {
		if ref, ok, err := s.short(name); ok || err != nil {
			return ref, err
		}
	}
	if isGGUF(name) || strings.ContainsRune(name, filepath.Separator) || isRegularName(name) {
		return reference{kind: localFile, file: name}, nil
	}
	if short, latest := strings.CutSuffix(name, ":latest"); latest { // Ollama's way to write a name without a tag
		if ref, err := s.parse(short); err == nil {
			return ref, nil
		}
	}
	names := make([]string, len(s.models))
	for i, m := range s.models {
		names[i] = m.Name
	}
	hint := ""
	if whole := ollamaRegistry + "/" + name; name != "" {
		if _, err := parseRegistry(whole, whole); err == nil {
			hint = "; Ollama's model of this name would be " + whole
		}
	}
	return reference{}, fmt.Errorf("%w %q: give the path of a .gguf file, hf.co/ORG/REPO[:FILE], registry.ollama.ai/NAME[:TAG], a URL, or one of %s%s",
		ErrUnknown, name, strings.Join(names, ", "), hint)
}

func isRegularName(name string) bool {
	_, err := os.Stat(name)
	return name != "" && err == nil
}

// filePage matches the path of the page that Hugging Face has of a file.
var filePage = regexp.MustCompile(`^(/[\w.-]+/[\w.-]+)/blob/(.+)$`)

func parseURL(name string) (reference, error) {
	u, err := url.Parse(name)
	if err != nil {
		return reference{}, err
	}
	fragment := u.Fragment
	if u.Host == "huggingface.co" || u.Host == "hf.co" {
		// The address of a repository's page, as it is copied from a browser.
		if rest := strings.Trim(u.Path, "/"); strings.Count(rest, "/") == 1 {
			return parseRepository(name, rest)
		}
		// The address of a file's page: the file itself is at another one.
		if m := filePage.FindStringSubmatch(u.EscapedPath()); m != nil {
			if u, err = u.Parse(m[1] + "/resolve/" + m[2]); err != nil {
				return reference{}, err
			}
		}
	}
	r := reference{kind: kind(u.Scheme), file: path.Join(u.Host, u.Path)}
	u.Fragment = ""
	r.url = u.String()
	if sum, ok := strings.CutPrefix(fragment, "sha256="); ok {
		if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
			return reference{}, fmt.Errorf("%q: a SHA-256 has 64 hexadecimal digits", name)
		}
		r.sha256 = strings.ToLower(sum)
	}
	switch {
	case u.Host == "" || !isLocal(u.Host+u.Path):
		return reference{}, fmt.Errorf("%w %q: not a valid URL", ErrUnknown, name)
	case !isGGUF(u.Path):
		return reference{}, fmt.Errorf("%w %q: the URL of a model ends with .gguf", ErrUnknown, name)
	}
	return r, nil
}

// repository is the form of ORG/REPO that Hugging Face allows. It has nothing in it
// that would have to be escaped in a URL.
var repository = regexp.MustCompile(`^[\w.-]+/[\w.-]+$`)

func parseRepository(name, rest string) (reference, error) {
	rest, rev := revisionOf(rest)
	repo, file, _ := strings.Cut(rest, ":")
	r := reference{kind: huggingFace, repo: repo, file: file, rev: rev}
	if !repository.MatchString(repo) || !isLocal(repo) || file != "" && !isLocal(file) {
		return reference{}, fmt.Errorf("%w %q: a repository is hf.co/ORG/REPO, a file in it hf.co/ORG/REPO:FILE, one of its versions …@REVISION", ErrUnknown, name)
	}
	return r, nil
}

// revision is the form of a branch, a tag or a commit.
var revision = regexp.MustCompile(`^\w[\w.-]*(/[\w.-]+)*$`)

// revisionOf takes the revision off the end of a name. main is what there is without
// one.
func revisionOf(name string) (rest, rev string) {
	at := strings.LastIndexByte(name, '@')
	if at < 0 || !revision.MatchString(name[at+1:]) || isGGUF(name) || !isLocal(name[at+1:]) {
		return name, ""
	}
	if rev = name[at+1:]; rev == "main" {
		rev = ""
	}
	return name[:at], rev
}

// isLocal reports whether a slash-separated path from outside stays below the
// directory it is joined to, and out of our dot directories.
func isLocal(p string) bool {
	for element := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(element, ".") || strings.ContainsAny(element, "\\\x00") {
			return false
		}
	}
	return filepath.IsLocal(filepath.FromSlash(p))
}
