// Package vetting decides whether a file that came from a registry may run on this machine, and can, as the daemon will.
package vetting

import (
	"errors"
	"os"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/check"
)

// Vet is by what it is decided.
type Vet struct {
	Policy   signature.Policy
	Now      map[string]api.Handler // how the handlers stand, by name
	Binaries *catalogue.Catalogue
	// Blind says that there may be cells that Binaries does not see, and Builds that the daemon builds what is missing.
	Blind, Builds bool
}

// File returns why a handler's file is refused, nil where it is not. text is its signature, "" where it has none.
func (v Vet) File(handler, path, text string) (*refusal.Error, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	handler = canary.Incumbent(handler) // a canary is signed for the handler that it is to become
	said, err := v.Policy.Check(handler, f, text)
	if err == nil && text != "" && v.Policy.On() {
		err = v.Policy.Order(said, served(v.Now[handler]))
	}
	if no := new(refusal.Error); errors.As(err, &no) {
		return no, nil
	}
	if err != nil {
		return nil, err
	}
	report, err := check.Inspect(path, v.Binaries)
	if err != nil {
		if no := new(refusal.Error); errors.As(err, &no) && v.Blind {
			return nil, nil
		}
		return nil, err
	}
	if report.WouldServe(v.Builds || v.Blind) {
		return nil, nil
	}
	last := report.Last()
	return &refusal.Error{Reason: last.Reason, Mend: last.Mend, Or: last.Or}, nil
}

// served is what the signature of the version says that serves.
func served(h api.Handler) (said signature.Signed) {
	if h.Signed == nil {
		return said
	}
	said.Version = h.Signed.Version
	if !h.Signed.Time.IsZero() {
		said.Time = h.Signed.Time.Unix()
	}
	return said
}
