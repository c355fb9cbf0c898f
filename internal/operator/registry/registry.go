// Package registry reads and writes an OCI registry: tags, manifests and blobs, each checked
// by its digest. It is the only importer of oras-go, which speaks the protocol of
// registries and of their credentials.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// Options say how a registry is reached.
type Options struct {
	PlainHTTP bool // it speaks no TLS; on loopback none does, unless its reference begins with https://
	// Credentials is a file as docker and podman keep them, which may name a helper; ""
	// for those that they keep for the user.
	Credentials string
	// Patience is how long the registry may send nothing; 0 for 30 s.
	Patience time.Duration
}

// Repository is one of a registry's.
type Repository struct {
	repo         *remote.Repository
	patience     time.Duration
	files        []string // of credentials
	credentialed atomic.Bool
}

// Open takes a reference such as registry.example.com/shop:prod or
// registry.example.com/shop@sha256:…. It asks the registry nothing.
func Open(ref string, o Options) (*Repository, error) {
	name, secure := strings.CutPrefix(ref, "https://")
	if strings.Contains(name, "://") {
		return nil, fmt.Errorf("%q is no reference of a registry's: write registry.example.com/shop:prod, and --plain-http for one without TLS", ref)
	}
	repo, err := remote.NewRepository(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no reference of a registry's, such as registry.example.com/shop:prod: %w", ref, err)
	}
	if d := repo.Reference.Reference; strings.Contains(d, ":") && !artifact.IsDigest(d) {
		return nil, fmt.Errorf("%q: digests are of SHA-256 here", ref)
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	r := &Repository{repo: repo, patience: o.Patience}
	repo.PlainHTTP = o.PlainHTTP || !secure && loopback(repo.Reference.Registry)
	repo.MaxMetadataBytes = artifact.MaxIndex
	store, err := r.store(o.Credentials)
	if err != nil {
		return nil, err
	}
	find := credentials.Credential(store)
	client := &auth.Client{Client: &http.Client{Transport: transport(o.Patience)}, Cache: auth.NewCache()}
	client.Credential = func(ctx context.Context, host string) (auth.Credential, error) {
		cred, err := find(ctx, host)
		if err != nil {
			return cred, credentialError{err}
		}
		if cred != auth.EmptyCredential {
			r.credentialed.Store(true)
		}
		return cred, nil
	}
	client.SetUserAgent("plugserverctl")
	repo.Client = client
	return r, nil
}

// transport tries a few times what may pass, and bounds each wait.
func transport(patience time.Duration) http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = (&net.Dialer{Timeout: min(patience, 10*time.Second)}).DialContext
	base.TLSHandshakeTimeout = min(patience, 10*time.Second)
	base.ResponseHeaderTimeout = patience
	t := retry.NewTransport(base)
	t.Policy = func() retry.Policy {
		return &retry.GenericPolicy{Retryable: passing, Backoff: retry.ExponentialBackoff(100*time.Millisecond, 2, 0.2),
			MinWait: 50 * time.Millisecond, MaxWait: 3 * time.Second, MaxRetry: 3}
	}
	return t
}

// passing says what is tried again at once: no time-out, of which one is enough.
func passing(answer *http.Response, err error) (bool, error) {
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return false, nil
	}
	return retry.DefaultPredicate(answer, err)
}

// store is where credentials are looked for.
func (r *Repository) store(path string) (credentials.Store, error) {
	r.files = []string{path}
	if path == "" {
		r.files = usual()
	} else if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	var all []credentials.Store
	for _, file := range r.files {
		s, err := credentials.NewStore(file, credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("credentials in %q: %w", file, err)
		}
		all = append(all, s)
	}
	if all == nil {
		return credentials.NewMemoryStore(), nil
	}
	return credentials.NewStoreWithFallbacks(all[0], all[1:]...), nil
}

// usual are the files in which podman, skopeo and docker keep credentials, in their order.
func usual() (files []string) {
	if file := os.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	} else {
		files = append(files, fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid()))
	}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "containers", "auth.json"))
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		files = append(files, filepath.Join(dir, "config.json"))
	} else if dir, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(dir, ".docker", "config.json"))
	}
	return files
}

// loopback reports whether host, with or without a port, is this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Host is the registry's.
func (r *Repository) Host() string { return r.repo.Reference.Registry }

// Name is that of the repository: registry.example.com/shop.
func (r *Repository) Name() string {
	return r.repo.Reference.Registry + "/" + r.repo.Reference.Repository
}

// Reference is the tag or the digest that Open was given, "" for neither.
func (r *Repository) Reference() string { return r.repo.Reference.Reference }

// Resolve finds what a tag, or a digest, names now. It is one request, and one more where the
// registry wants credentials.
func (r *Repository) Resolve(ctx context.Context, ref string) (d artifact.Descriptor, err error) {
	found, err := r.repo.Manifests().Resolve(ctx, ref)
	if err != nil {
		return d, r.explain(err, ref)
	}
	d = artifact.Descriptor{MediaType: found.MediaType, Digest: found.Digest.String(), Size: found.Size}
	if !artifact.IsDigest(d.Digest) {
		return d, r.wrong(nil, ref, fmt.Sprintf("its digest is %.100q, not of SHA-256", d.Digest))
	}
	return d, nil
}

// Manifest reads a manifest or an index of at most so many bytes.
func (r *Repository) Manifest(ctx context.Context, d artifact.Descriptor, most int64) ([]byte, error) {
	if d.Size > most {
		return nil, r.trouble(ErrTooLarge, nil, fmt.Sprintf("%s: %s has %d bytes, where %d are possible", r.Name(), d.Digest, d.Size, most), "push fewer handlers to one tag")
	}
	ctx, patient, stop := patiently(ctx, r.patience)
	defer stop()
	body, err := r.repo.Manifests().Fetch(ctx, oci(d))
	if err != nil {
		return nil, r.explain(err, d.Digest)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(patient(body), d.Size+1))
	if err != nil {
		return nil, r.explain(broke(ctx, err), d.Digest)
	}
	if have := artifact.Blob("", b); have.Digest != d.Digest {
		return nil, r.wrong(nil, d.Digest, fmt.Sprintf("what comes is %s, of %d bytes", have.Digest, have.Size))
	}
	return b, nil
}

// PushBlob writes a blob, unless it is there already; done is told how far it is.
func (r *Repository) PushBlob(ctx context.Context, d artifact.Descriptor, content io.Reader, done func(bytes int64)) error {
	there, err := r.repo.Blobs().Exists(ctx, oci(d))
	if err != nil || there {
		return r.explain(err, d.Digest)
	}
	ctx, patient, stop := patiently(ctx, r.patience)
	defer stop()
	err = r.repo.Blobs().Push(ctx, oci(d), counting{patient(content), new(int64), done})
	return r.explain(broke(ctx, err), d.Digest)
}

// PushManifest writes a manifest or an index whose parts are there, under a tag, or where
// that is "" under its digest alone.
func (r *Repository) PushManifest(ctx context.Context, tag, mediaType string, content []byte) (artifact.Descriptor, error) {
	d := artifact.Blob(mediaType, content)
	ref := tag
	if ref == "" {
		ref = d.Digest
	}
	err := r.repo.Manifests().PushReference(ctx, oci(d), strings.NewReader(string(content)), ref)
	return d, r.explain(err, ref)
}

func oci(d artifact.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size}
}

// errStalled ends what gets nothing for too long.
var errStalled = errors.New("nothing has come or gone for too long")

// patiently gives a context that ends once nothing has passed the reader for a while.
func patiently(ctx context.Context, most time.Duration) (context.Context, func(io.Reader) io.Reader, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(most, func() { cancel(errStalled) })
	return ctx, func(of io.Reader) io.Reader { return patient{of, timer, most} }, func() { timer.Stop(); cancel(nil) }
}

type patient struct {
	io.Reader
	timer *time.Timer
	most  time.Duration
}

func (p patient) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.timer.Reset(p.most)
	return n, err
}

// broke is err, or why ctx made it.
func broke(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// counting tells how much was read; it is of no type that net/http knows.
type counting struct {
	r     io.Reader
	bytes *int64
	done  func(int64)
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if *c.bytes += int64(n); c.done != nil && n > 0 {
		c.done(*c.bytes)
	}
	return n, err
}

// Copy has another repository hold what a descriptor names, and all that this names in turn.
func (r *Repository) Copy(ctx context.Context, to *Repository, d artifact.Descriptor) error {
	options := oras.CopyGraphOptions{MaxMetadataBytes: artifact.MaxIndex}
	if r.Host() == to.Host() {
		options.MountFrom = func(context.Context, ocispec.Descriptor) ([]string, error) {
			return []string{r.repo.Reference.Repository}, nil
		}
	}
	ctx, patient, stop := patiently(ctx, 4*r.patience) // one step is several requests
	defer stop()
	step := func(context.Context, ocispec.Descriptor) error { patient(http.NoBody).Read(nil); return nil }
	options.PreCopy, options.PostCopy, options.OnCopySkipped, options.OnMounted = step, step, step, step
	err := oras.CopyGraph(ctx, source{r.repo, patient}, to.repo, oci(d), options)
	var copying *oras.CopyError
	switch {
	case broke(ctx, err) == errStalled: // either may be why
		return r.trouble(ErrAway, err, fmt.Sprintf("registry %s, or %s: %v", r.Host(), to.Host(), errStalled), "try again later")
	case errors.As(err, &copying) && copying.Origin == oras.CopyErrorOriginSource:
		return r.explain(copying.Err, d.Digest)
	}
	return to.explain(err, d.Digest)
}

// source is a repository out of which all that is read goes through patient readers.
type source struct {
	*remote.Repository
	patient func(io.Reader) io.Reader
}

func (s source) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	body, err := s.Repository.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{s.patient(body), body}, nil
}
