// Package signers is what an operator says of signatures: whose are believed, and what becomes of the rest.
package signers

import (
	"errors"
	"path/filepath"
	"slices"

	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// Keys are what [Trust] may assign to a policy, and what each assignment does. yes is what one of a yes or no does, file
// reads the text of a file.
func Keys(p *signature.Policy, yes func(to *bool) func(string) error, file func(path string) (string, error)) map[string]func(string) error {
	parse := func(value string) (signature.Key, error) { return parseKey(value, file) }
	return map[string]func(string) error{
		"PublicKey": func(value string) error {
			if value == "" {
				p.Keys = nil
				return nil
			}
			key, err := parse(value)
			if err == nil {
				p.Keys = append(p.Keys, key)
			}
			return err
		},
		"RevokedKey": func(value string) error {
			if value == "" {
				p.Revoked = nil
				return nil
			}
			id, err := signature.ParseID(value)
			if err != nil {
				key, e := parse(value)
				if e != nil {
					return errors.New("neither the ID of a key, of 16 hex digits, nor a key; minisign shows an ID in the first line of a .pub file, without the zeros before it: write them, too")
				}
				id = key.ID()
			}
			if !slices.Contains(p.Revoked, id) {
				p.Revoked = append(p.Revoked, id)
			}
			return nil
		},
		"Require":   yes(&p.Require),
		"Monotonic": yes(&p.Monotonic),
	}
}

// parseKey reads a public key, or the file of one.
func parseKey(value string, file func(path string) (string, error)) (signature.Key, error) {
	if !filepath.IsAbs(value) {
		key, err := signature.ParseKey(value)
		if err != nil {
			return key, errors.New("neither a public key of minisign nor an absolute path; write the last line of a .pub file, without quotes")
		}
		return key, nil
	}
	text, err := file(value)
	if err != nil {
		return signature.Key{}, err
	}
	key, err := signature.ParseKey(text)
	if err != nil {
		return key, errors.New("there is no public key of minisign in that file; write the path of a .pub file, as minisign -G makes it")
	}
	return key, nil
}

// Finish is what the lines mean together.
func Finish(p signature.Policy) error {
	usable := slices.ContainsFunc(p.Keys, func(k signature.Key) bool { return !slices.Contains(p.Revoked, k.ID()) })
	switch {
	case p.Require && len(p.Keys) == 0:
		return errors.New("[Trust] has Require=yes and no PublicKey=; name the keys whose signatures are believed")
	case p.Require && !usable:
		return errors.New("[Trust] has Require=yes, and RevokedKey= names every PublicKey=; name a key that is still believed")
	case p.Monotonic && !p.Require:
		return errors.New("[Trust] has Monotonic=yes without Require=yes, so that an old version would be served without its signature; write both")
	}
	return nil
}
