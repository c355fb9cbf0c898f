package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

const (
	maxFile = 1 << 20 // bytes of one file
	maxAll  = 8 << 20 // bytes of all pairs: they go to the gate in one message
)

// name is the files of a pair.
type name struct {
	certificate, key string
	acme             bool // they have come by ACME
}

func (n name) id() string { return n.certificate + "\x00" + n.key }

// pair is a certificate and its key, which belong together.
type pair struct {
	link.Pair
	told  api.Certificate
	lasts time.Duration
}

// readPair reads a pair. The error names the file and the fix.
func readPair(certificate, key string) (*pair, error) {
	c, err := read(certificate, false)
	if err != nil {
		return nil, err
	}
	k, err := read(key, true)
	if err != nil {
		return nil, err
	}
	if !hasBlock(c, "CERTIFICATE") {
		return nil, fmt.Errorf("certificate %q: no certificate is in it; put one there as PEM (-----BEGIN CERTIFICATE-----), with its chain behind it", certificate)
	}
	if !hasBlock(k, "PRIVATE KEY") {
		return nil, fmt.Errorf("key %q: no private key is in it; put the certificate's there as PEM, without a passphrase (openssl pkey -in FILE)", key)
	}
	p, err := tls.X509KeyPair(c, k)
	switch {
	case err != nil && strings.Contains(err.Error(), "private key"):
		return nil, fmt.Errorf("certificate %q and key %q do not belong together (%w); put the key that the certificate was made for there, and keep Certificate= and Key= in the same order", certificate, key, err)
	case err != nil:
		return nil, fmt.Errorf("certificate %q, key %q: %w; replace what is broken", certificate, key, err)
	}
	leaf, err := x509.ParseCertificate(p.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w; have it made anew", certificate, err)
	}
	return &pair{link.Pair{Certificate: c, Key: k}, told(certificate, leaf), leaf.NotAfter.Sub(leaf.NotBefore)}, nil
}

// hasBlock reports whether a block of that type, or of one that ends so, is in text.
func hasBlock(text []byte, kind string) bool {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return false
		}
		if b.Type == kind || strings.HasSuffix(b.Type, " "+kind) {
			return true
		}
	}
}

// authorities are those who sign clients' certificates, nil where none are named. The
// lock is held.
func (k *Keeper) authorities() (all []byte, err error) {
	for _, file := range k.want.ClientCAs {
		text, err := read(k.path(file), false)
		if err != nil {
			return nil, err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ClientCA=%s: no certificate is in it; put the authority's there as PEM", file)
		}
		all = append(append(all, text...), '\n')
	}
	return all, nil
}

func errTooMany(from string) error {
	return fmt.Errorf("certificates from %q on: all together have more than %d MiB; name fewer", from, maxAll>>20)
}

// path is where a file of the settings is.
func (k *Keeper) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(k.credentials, file) // "" is told by read
}

// secret is what a file, or a credential, has that only the daemon's user may read, without
// the space around it.
func (k *Keeper) secret(file string) (string, error) {
	text, err := read(k.path(file), true)
	return strings.TrimSpace(string(text)), err
}

// read reads a file. A secret one may be its owner's and its group's alone.
func read(path string, secret bool) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("credential %q: the service has none; write LoadCredential=%s:/PATH in the unit, or the file's absolute path", path, path)
	}
	// O_NONBLOCK, so that a FIFO of that name cannot block the open.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read %q: not a regular file; put a file in its place", path)
	case secret && info.Mode().Perm()&0o037 != 0:
		return nil, fmt.Errorf("key %q: its mode is %04o, and others than its owner and its group could have read or changed it; chmod 640 %q, or better have a new one made", path, info.Mode().Perm(), path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); secret && ok && st.Uid != 0 && int(st.Uid) != os.Getuid() {
		return nil, fmt.Errorf("key %q: it belongs to user %d, who can read and change it; chown root %q", path, st.Uid, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if len(text) > maxFile {
		return nil, fmt.Errorf("read %q: larger than %d MiB; put only certificates there", path, maxFile>>20)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return text, nil
}

// unreadable words why path could not be read.
func unreadable(path string, err error) error {
	fix := "look for errors of its disk in the kernel's log"
	switch {
	case errors.Is(err, fs.ErrPermission):
		fix = fmt.Sprintf("let the daemon's user read it (chgrp plugserver %q, chmod 640, and a+x the directories above), or give it to the service with LoadCredential=", path)
	case errors.Is(err, fs.ErrNotExist):
		fix = "put the file there, or name another in [TLS]"
	case errors.Is(err, syscall.ELOOP):
		fix = "fix the symbolic link"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // without the path again
	}
	return fmt.Errorf("read %q: %w; %s", path, err, fix)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// list are the names in a folder.
func list(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// state is how all files stand: it differs when one is replaced, written or linked
// otherwise. The lock is held.
func (k *Keeper) state() string {
	var b strings.Builder
	look := func(path string) {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			return
		}
		fmt.Fprintln(&b, st.Dev, st.Ino, st.Size, st.Mode, st.Uid, st.Gid, st.Mtim, st.Ctim)
	}
	for _, n := range k.names() {
		look(n.certificate)
		look(n.key)
	}
	for _, file := range k.want.ClientCAs {
		look(k.path(file))
	}
	return b.String()
}
