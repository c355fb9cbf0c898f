package intake

import (
	"context"
	"errors"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// signTime is how long a file and its signature may be apart, whichever comes first: until then one that does not
// hold is waited for, not refused.
const signTime = time.Second

// sign finds the signature that lies beside the file, and decides by it. It is waited for, for a moment: it may come
// after the file, or before the file that it is of.
func (w *work) sign(ctx context.Context) error {
	p := w.Policy()
	if !p.On() || w.file.Kind != handlerdir.Plugin {
		return nil
	}
	touched, err := w.signed(p)
	if rest := signTime - time.Since(touched); err != nil && rest > 0 {
		if w.Live == "" && w.Long != nil {
			w.Long("waiting for its signature") // meanwhile what served before may
		}
		select {
		case <-time.After(min(rest, signTime)):
			_, err = w.signed(p)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// signed is sign that does not wait. It says when file or signature was touched last.
func (w *work) signed(p signature.Policy) (touched time.Time, err error) {
	touched = time.Unix(0, w.file.ID.Ctime)
	text, at, err := w.disk.Signature(w.file.Path)
	if at.After(touched) {
		touched = at
	}
	if err != nil && !errors.Is(err, signature.ErrNone) {
		return touched, err
	}
	v := w.Version
	v.Signature = text
	said, err := w.Verify(w.file.Name, v)
	if err == nil && text != "" {
		err = p.Order(said, w.Newest)
	}
	if err == nil {
		w.Version.Signature = text
	}
	return touched, err
}

// signs reports whether the file is not to be run before it was found out who signed it.
func (w *work) signs() bool {
	p := w.Policy()
	return p.Require || p.On() && w.file.ID.Sign != handlerdir.State{}
}
