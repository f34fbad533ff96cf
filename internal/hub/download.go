package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// connectTimeout is how long a connection may take. Without a network, or behind a
// firewall that drops packets, a user waits this long for the error.
const connectTimeout = 5 * time.Second

// retryPolicy is how long to insist when a server or the way to it fails.
type retryPolicy struct {
	attempts uint          // in a row without a byte of progress
	pause    time.Duration // before the second attempt; grows with each
	silence  time.Duration // without a byte, after which a transfer counts as dead
	spare    bool          // there is another source: do not try again if this one cannot be reached
}

var defaultRetry = retryPolicy{attempts: 5, pause: time.Second, silence: time.Minute}

// withSpare is the policy for a source that is not the last one.
func (p retryPolicy) withSpare() retryPolicy {
	return retryPolicy{attempts: min(p.attempts, 2), pause: p.pause, silence: min(p.silence, 20*time.Second), spare: true}
}

var errRedirect = errors.New("refused to follow a redirect")

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	transport.TLSHandshakeTimeout = 2 * connectTimeout
	return &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("%w from https to %s", errRedirect, req.URL.Redacted())
		}
		if len(via) >= 10 {
			return fmt.Errorf("%w for the tenth time", errRedirect)
		}
		return nil
	}}
}

// transientError marks an error that another attempt may not have.
type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

func isTransient(err error) bool {
	var transient transientError
	return errors.As(err, &transient)
}

// insist calls attempt until it succeeds, fails for good, or has failed too
// often. It calls waiting, if there is one, before each pause.
func insist[T any](ctx context.Context, p retryPolicy, waiting func(), attempt func() (T, error)) (T, error) {
	pauses := &backoff.ExponentialBackOff{InitialInterval: p.pause, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: time.Minute}
	once := func() (T, error) {
		v, err := attempt()
		if err != nil && !isTransient(err) {
			err = backoff.Permanent(err)
		}
		return v, err
	}
	notify := func(error, time.Duration) {
		if waiting != nil {
			waiting()
		}
	}
	return backoff.Retry(ctx, once, backoff.WithBackOff(pauses), backoff.WithMaxTries(p.attempts), backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
}

// remote is a file on a server.
type remote struct {
	url    string
	size   int64  // -1 if it is not known
	sha256 string // empty if it is not known
	policy retryPolicy
	do     func(*http.Request) (*http.Response, error) // nil: as the store sends any request
}

// download fetches r into part, continuing what part already holds.
func (s *Store) download(ctx context.Context, r remote, part string, progress Progress) error {
	waiting := func() { progress("waiting to try again", sizeOf(part), r.size) }
	for {
		complete, err := insist(ctx, r.policy, waiting, func() (complete bool, err error) {
			before := sizeOf(part)
			if r.size >= 0 && before == r.size {
				return true, nil // the process that fetched it ended before it verified it
			}
			err = s.transfer(ctx, r, part, progress)
			if err != nil && isTransient(err) && sizeOf(part) > before && ctx.Err() == nil {
				return false, nil // it got further: the attempts count from one again
			}
			return err == nil, err
		})
		switch {
		case ctx.Err() != nil && err != nil:
			return ctx.Err()
		case err != nil && isTransient(err) && !r.policy.spare:
			return fmt.Errorf("gave up after %d attempts; what has arrived is kept, pull again to continue: %w", r.policy.attempts, err)
		case err != nil || complete:
			return err
		}
		waiting()
		if err := sleep(ctx, r.policy.pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// transfer makes one request and appends its body to part. A server that says
// nothing for too long, before or within its answer, has failed.
func (s *Store) transfer(ctx context.Context, r remote, part string, progress Progress) (err error) {
	silence := r.policy.silence
	live, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(transientError{fmt.Errorf("not a byte for %v", silence)}) })
	defer watchdog.Stop()
	defer func() {
		if err != nil && ctx.Err() == nil && live.Err() != nil {
			err = context.Cause(live) // why the answer could not be read
		}
	}()
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	resp, err := s.request(live, r, part, have)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	start, err := bodyStart(resp, have)
	if err != nil {
		if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable || resp.StatusCode == http.StatusPartialContent {
			discard(part) // what is here is not a part of what is there
		}
		return err
	}
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = start + resp.ContentLength
	}
	if r.size >= 0 && total >= 0 && total != r.size {
		return fmt.Errorf("%s offers %d bytes, not %d", resp.Request.URL.Host, total, r.size)
	}
	if err := s.checkSpace(total - have); err != nil {
		return err
	}
	if err := f.Truncate(start); err != nil {
		return err
	}
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	noteETag(part, resp)
	body, got := io.Reader(resp.Body), start
	if r.size >= 0 { // a server that announces no length may send anything
		body = io.LimitReader(body, r.size-start+1)
	}
	err = receive(f, body, func(n int64) {
		watchdog.Reset(silence)
		got = start + n
		progress("downloading", got, max(total, r.size))
	})
	if err != nil {
		return err
	}
	if r.size >= 0 && got > r.size {
		discard(part)
		return fmt.Errorf("%s sends more than the %d bytes of the file", resp.Request.URL.Host, r.size)
	}
	if got < r.size { // a server that announces no length ends its answer where it fails, too
		return transientError{fmt.Errorf("the transfer broke off: %d of %d bytes are here", got, r.size)}
	}
	return f.Sync()
}

// request asks for what comes after the first have bytes of the file. Those bytes
// must be of the file that the server has now: with an ETag the server checks it,
// and with a digest we do at the end. Without either, it asks for the whole file.
func (s *Store) request(ctx context.Context, r remote, part string, have int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	s.authorize(req)
	req.Header.Set("Accept-Encoding", "identity") // ranges and ETags are those of the file itself
	etag, _ := os.ReadFile(part + etagSuffix)
	if have > 0 && (len(etag) > 0 || r.sha256 != "") {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if len(etag) > 0 {
			req.Header.Set("If-Range", string(etag))
		}
	}
	resp, err := s.send(req, r.do)
	if err != nil {
		return nil, r.policy.requestError(err)
	}
	return resp, nil
}

// send sends a request by do, if there is one.
func (s *Store) send(req *http.Request, do func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	if do != nil {
		return do(req)
	}
	return s.Client.Do(req)
}

// requestError wraps an error of the connection. It is transient, unless the
// server's name does not exist, it redirects to where it should not, or it cannot
// be reached and there is another source.
func (p retryPolicy) requestError(err error) error {
	var dns *net.DNSError
	_, _, unreachable := unreachable(err)
	if errors.As(err, &dns) && dns.IsNotFound || errors.Is(err, errRedirect) || errors.Is(err, errRefused) || unreachable && p.spare {
		return err
	}
	return transientError{err}
}

// unreachable reports whether err says that no connection came about, and to
// which host and why.
func unreachable(err error) (host, reason string, ok bool) {
	var dns *net.DNSError
	var op *net.OpError
	var request *url.Error
	switch {
	case errors.As(err, &dns):
		return dns.Name, "its name does not resolve", true
	case errors.As(err, &op) && op.Op == "dial" && errors.As(err, &request):
		if u, parseErr := url.Parse(request.URL); parseErr == nil {
			return u.Host, op.Err.Error(), true
		}
	}
	return "", "", false
}

// authorize sends the token to Hugging Face and to nobody else.
func (s *Store) authorize(req *http.Request) {
	endpoint, err := url.Parse(s.Endpoint)
	if err == nil && s.Token != "" && req.URL.Host == endpoint.Host && req.URL.Scheme == endpoint.Scheme {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
}

// bodyStart is the offset in the file of the response's first byte.
func bodyStart(resp *http.Response, have int64) (int64, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return 0, nil // all of it: a first request, another file by now, or a server without ranges
	case http.StatusPartialContent:
		var start, end int64
		_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/", &start, &end)
		if err == nil && start == have {
			return start, nil
		}
		return 0, transientError{fmt.Errorf("asked for bytes from %d, got %q", have, resp.Header.Get("Content-Range"))}
	case http.StatusRequestedRangeNotSatisfiable:
		return 0, transientError{fmt.Errorf("the server has less than the %d bytes that are here", have)}
	}
	return 0, statusError(resp)
}

// errRefused is wrapped by the error for a request that the server does not allow.
var errRefused = errors.New("it does not exist, or is private or gated")

// statusError says what a failed request means.
func statusError(resp *http.Response) error {
	host := resp.Request.URL.Host // the rest of the address may hold passwords
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return refusal(resp)
	case code == http.StatusNotFound && resp.Header.Get("X-Error-Code") == "RevisionNotFound":
		return fmt.Errorf("%s answers %s: the repository has no such revision: check what stands behind the @", host, resp.Status)
	case code == http.StatusNotFound:
		return fmt.Errorf("%s answers %s: check the name", host, resp.Status)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return waitAsAsked(resp, fmt.Errorf("%s answers %s", host, resp.Status))
	default:
		return fmt.Errorf("%s answers with the unexpected status %s", host, resp.Status)
	}
}

// refusal says why a request is not allowed, as far as the answer tells, and what to do.
func refusal(resp *http.Response) error {
	host, sent := resp.Request.URL.Host, resp.Request.Header.Get("Authorization") != ""
	advice := "accept its licence on its page and set HF_TOKEN to a token that may read it"
	switch code := resp.Header.Get("X-Error-Code"); {
	case strings.HasPrefix(resp.Request.URL.Path, "/v2/"):
		advice = fmt.Sprintf("check the name; if it is private, log in first: docker login %s (or oras login)", host)
	case code == "GatedRepo" && !sent:
		advice = "it is gated: sign in at Hugging Face, accept its licence on its page, make a token (settings, access tokens, read) and set HF_TOKEN to it"
	case code == "GatedRepo":
		advice = "it is gated, and the account of HF_TOKEN has not been let in: accept its licence on its page, and wait if its authors decide by hand; " +
			"a fine-grained token also needs the permission to read gated repositories"
	case resp.StatusCode == http.StatusUnauthorized && sent:
		advice = "HF_TOKEN is not valid: it may have been revoked or have expired"
	case code == "RepoNotFound":
		advice = "check the name; if it is private, set HF_TOKEN to a token of an account that may read it"
	}
	return fmt.Errorf("%s answers %s: %w: %s", host, resp.Status, errRefused, advice)
}

// longestWait is how long a server may ask to be left alone before it counts as failed.
const longestWait = 5 * time.Minute

// waitAsAsked is a transient error after which the next attempt waits for as long as the
// server asks.
func waitAsAsked(resp *http.Response, err error) error {
	after := strings.TrimSpace(resp.Header.Get("Retry-After"))
	wait := time.Duration(-1)
	if seconds, bad := strconv.ParseInt(after, 10, 32); bad == nil && seconds >= 0 {
		wait = time.Duration(seconds) * time.Second
	} else if date, bad := http.ParseTime(after); bad == nil {
		wait = max(0, time.Until(date))
	}
	switch {
	case wait > longestWait:
		return fmt.Errorf("%w, and asks to be left alone for %v: pull again then, what has arrived is kept", err, wait.Round(time.Second))
	case wait >= 0:
		return transientError{fmt.Errorf("%w%w", err, &asked{backoff.RetryAfterError{Duration: wait}})}
	}
	return transientError{err}
}

// asked is the wait that a server asks for; it is not part of the text.
type asked struct{ backoff.RetryAfterError }

func (*asked) Error() string { return "" }

func (a *asked) Unwrap() error { return &a.RetryAfterError }

// noteETag keeps a strong ETag for If-Range. Without one, the part can be
// resumed only if a digest is known.
func noteETag(part string, resp *http.Response) {
	etag := resp.Header.Get("ETag")
	if etag == "" || strings.HasPrefix(etag, "W/") {
		os.Remove(part + etagSuffix)
		return
	}
	os.WriteFile(part+etagSuffix, []byte(etag), 0o644) // if this fails, the next pull begins anew
}

// receive copies body to f. An error of the network is transient, one of the disk
// is not.
func receive(f io.Writer, body io.Reader, report func(n int64)) error {
	var done int64
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
			done += int64(n)
			report(done)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return transientError{fmt.Errorf("the transfer broke off: %w", err)}
		}
	}
}
