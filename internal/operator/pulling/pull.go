package pulling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
	"golang.org/x/sys/unix"
)

// Part is one file that has to come.
type Part struct {
	Blob      synced.Blob
	MediaType string
	Path      string
}

// Pull brings what is missing of parts, whose files are in one file system, and returns how many bytes came. What was interrupted goes on where it was.
// It writes to progress how far it is. Where the error is ErrFull, what came stays, too: it is the caller's to delete.
func Pull(ctx context.Context, repo *registry.Repository, parts []Part, progress io.Writer) (bytes int64, err error) {
	var all int64 // bytes that have to come
	for _, p := range parts {
		if err := os.MkdirAll(filepath.Dir(p.Path), 0o700); err != nil {
			return 0, err
		}
		have := int64(0)
		if info, err := os.Lstat(p.Path); err == nil {
			have = min(info.Size(), p.Blob.Size)
		}
		all += p.Blob.Size - have
	}
	if all > 0 {
		if err := room(filepath.Dir(parts[0].Path), all); err != nil {
			return 0, err
		}
	}
	var came atomic.Int64
	stop := terminal.Every(tellEvery, func() {
		fmt.Fprintf(progress, "pulled %s of %s\n", terminal.Size(came.Load()), terminal.Size(all))
	})
	err = registry.Each(ctx, parts, func(ctx context.Context, p Part) error { return fetch(ctx, repo, p, &came) })
	stop()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = full{err}
	}
	return came.Load(), err
}

// ErrFull says that there is no room for what is to come.
var ErrFull = errors.New("no room")

// full is an error that is ErrFull.
type full struct{ error }

func (f full) Unwrap() []error { return []error{ErrFull, f.error} }

// room says where there is no room for so many bytes.
func room(dir string, bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look for room in %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < bytes {
		return full{fmt.Errorf("%s are to come, and there is room for %s", terminal.Size(bytes), terminal.Size(free))}
	}
	return nil
}

func fetch(ctx context.Context, repo *registry.Repository, p Part, came *atomic.Int64) error {
	f, err := os.OpenFile(p.Path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	last := info.Size()
	err = repo.Fetch(ctx, artifact.Descriptor{MediaType: p.MediaType, Digest: p.Blob.Digest, Size: p.Blob.Size}, f, func(bytes int64) {
		if bytes < last {
			last = 0 // it began anew
		}
		came.Add(bytes - last)
		last = bytes
	})
	if err != nil {
		return err
	}
	// Whatever the umask: the daemon is another user.
	return errors.Join(f.Chmod(0o644), f.Sync())
}

// tellEvery is how often a pull tells how far it is.
const tellEvery = time.Second
