package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Fetch reads a blob into f, which may hold the beginning of it from a time before: that is
// not asked for again. done is told how many bytes are there. Without an error f is what the
// digest says; where the transfer broke off it keeps what came, and where what came is
// another's nothing.
func (r *Repository) Fetch(ctx context.Context, d artifact.Descriptor, f *os.File, done func(bytes int64)) error {
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for resumed := have > 0; ; resumed, have = false, 0 {
		if have > d.Size {
			have = 0
		}
		if have < d.Size {
			if err := r.fetch(ctx, d, f, have, done); err != nil {
				return err
			}
		}
		sum, err := sum(f)
		if err != nil || sum == d.Digest {
			return err
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		if !resumed {
			return r.wrong(nil, d.Digest, "what comes is "+sum)
		}
		// What was there may have been another's: all of it, once more.
	}
}

func sum(f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	d, err := artifact.ReadBlob("", f)
	return d.Digest, err
}

// fetch asks for what comes after the first have bytes, and writes it behind them.
func (r *Repository) fetch(ctx context.Context, d artifact.Descriptor, f *os.File, have int64, done func(int64)) error {
	ctx, patient, stop := patiently(auth.AppendRepositoryScope(ctx, r.repo.Reference, auth.ActionPull), r.patience)
	defer stop()
	answer, err := r.blob(ctx, d, have)
	if err != nil {
		return r.explain(broke(ctx, err), d.Digest)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusPartialContent {
		have = 0 // the registry knows no ranges
	} else if from := firstByte(answer.Header.Get("Content-Range")); from != have {
		return r.wrong(nil, d.Digest, fmt.Sprintf("asked for the bytes from %d on it sends those from %d", have, from))
	}
	if err := f.Truncate(have); err != nil {
		return err
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	report := func(n int64) {
		if done != nil {
			done(have + n)
		}
	}
	into := &disk{f: f}
	n, err := io.Copy(into, io.LimitReader(counting{patient(answer.Body), new(int64), report}, d.Size-have+1))
	switch {
	case into.err != nil:
		return into.err
	case err == nil && have+n < d.Size:
		err = io.ErrUnexpectedEOF
	case have+n > d.Size:
		if err := f.Truncate(0); err != nil {
			return err
		}
		return r.wrong(nil, d.Digest, fmt.Sprintf("more comes than the %d bytes that it has", d.Size))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return r.trouble(ErrAway, err, fmt.Sprintf("registry %s broke off after %d of %d bytes of %s", r.Host(), have+n, d.Size, d.Digest), "try again: it goes on from there")
	}
	return r.explain(broke(ctx, err), d.Digest)
}

// disk remembers that it was the file which failed, not the registry.
type disk struct {
	f   *os.File
	err error
}

func (d *disk) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	d.err = err
	return n, err
}

// blob asks for a blob, from a byte on.
func (r *Repository) blob(ctx context.Context, d artifact.Descriptor, from int64) (*http.Response, error) {
	scheme := "https"
	if r.repo.PlainHTTP {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", scheme, r.repo.Reference.Host(), r.repo.Reference.Repository, d.Digest)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	answer, err := r.repo.Client.Do(req)
	if err != nil {
		return nil, err
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return answer, nil
	}
	answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return nil, errdef.ErrNotFound
	}
	return nil, &errcode.ErrorResponse{Method: req.Method, URL: answer.Request.URL, StatusCode: answer.StatusCode}
}

// firstByte reads the first number of a Content-Range, -1 if there is none.
func firstByte(field string) int64 {
	from, _, _ := strings.Cut(strings.TrimPrefix(field, "bytes "), "-")
	n, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
