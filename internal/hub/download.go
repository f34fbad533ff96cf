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
	"strings"
	"time"
)

// retryPolicy is how long to insist when a server or the way to it fails.
type retryPolicy struct {
	attempts int           // in a row without a byte of progress
	pause    time.Duration // before the second attempt; doubles with each
	silence  time.Duration // without a byte, after which a transfer counts as dead
}

var defaultRetry = retryPolicy{attempts: 5, pause: time.Second, silence: time.Minute}

var errRedirect = errors.New("refused to follow a redirect")

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
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

// transientError marks what another attempt may cure.
type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

// download fetches address into part, continuing what part already holds.
func (s *Store) download(ctx context.Context, address, part string, j job, progress Progress) error {
	pause := s.retry.pause
	for attempt := 1; ; attempt++ {
		before := sizeOf(part)
		if j.size >= 0 && before == j.size {
			return nil // complete; whoever fetched it did not come to verify it
		}
		err := s.transfer(ctx, address, part, j, progress)
		var transient transientError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &transient):
			return err
		}
		if sizeOf(part) > before {
			attempt, pause = 1, s.retry.pause
		}
		if attempt >= s.retry.attempts {
			return fmt.Errorf("gave up after %d attempts; what has arrived is kept, pull again to continue: %w", attempt, err)
		}
		progress("waiting to try again", sizeOf(part), j.size)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
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

// transfer makes one request and appends its body to part.
func (s *Store) transfer(ctx context.Context, address, part string, j job, progress Progress) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
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
	resp, err := s.request(ctx, address, part, have, j.sha256 != "")
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
	if j.size >= 0 && total >= 0 && total != j.size {
		return fmt.Errorf("%s offers %d bytes, not %d", resp.Request.URL.Host, total, j.size)
	}
	if err := f.Truncate(start); err != nil {
		return err
	}
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	noteETag(part, resp)
	silence := s.retry.silence
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("not a byte for %v", silence)) })
	defer watchdog.Stop()
	err = receive(f, resp.Body, func(n int64) {
		watchdog.Reset(silence)
		progress("downloading", start+n, max(total, j.size))
	})
	var transient transientError
	if errors.As(err, &transient) && ctx.Err() != nil {
		return transientError{context.Cause(ctx)} // why the body could not be read
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// request asks for what comes after the first have bytes. They are of use only
// if the server can tell whether its file is still the same, or if a digest will.
func (s *Store) request(ctx context.Context, address, part string, have int64, pinned bool) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	s.authorize(req)
	req.Header.Set("Accept-Encoding", "identity") // ranges and ETags are those of the file itself
	etag, _ := os.ReadFile(part + etagSuffix)
	if have > 0 && (len(etag) > 0 || pinned) {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		if len(etag) > 0 {
			req.Header.Set("If-Range", string(etag))
		}
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, requestError(err)
	}
	return resp, nil
}

// requestError is transient unless the server does not exist or misleads us.
func requestError(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound || errors.Is(err, errRedirect) {
		return err
	}
	return transientError{err}
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

// statusError says what a failed request means.
func statusError(resp *http.Response) error {
	where := resp.Request.URL.Redacted()
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("%s: %s: it does not exist, or is private or gated: accept its licence on its page and set HF_TOKEN to a token that may read it", where, resp.Status)
	case code == http.StatusNotFound:
		return fmt.Errorf("%s: %s: check the name", where, resp.Status)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return transientError{fmt.Errorf("%s: %s", where, resp.Status)}
	default:
		return fmt.Errorf("%s: unexpected status %s", where, resp.Status)
	}
}

// noteETag keeps a strong ETag for If-Range. Without one, the part can be
// resumed only if a digest is known.
func noteETag(part string, resp *http.Response) {
	etag := resp.Header.Get("ETag")
	if etag == "" || strings.HasPrefix(etag, "W/") {
		os.Remove(part + etagSuffix)
		return
	}
	os.WriteFile(part+etagSuffix, []byte(etag), 0o644) // for want of it, the next pull begins anew
}

// receive copies body to f, and tells a failing network, which is transient,
// from a failing disk.
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
