// Package signing has operators sign handlers' files, and tell by whom they were signed.
package signing

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
	"golang.org/x/term"
)

// Signed is what either command prints with --json: fields are added in later versions, never renamed.
type Signed struct {
	File      string    `json:"file"`
	Signature string    `json:"signature"` // the path of its file
	OK        bool      `json:"ok"`        // it was signed, or its signature holds
	Key       string    `json:"key,omitempty"`
	Handler   string    `json:"handler,omitempty"` // that it is for; empty for any
	Version   string    `json:"version,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why it does not hold, and the fix
	Mend      string    `json:"mend,omitempty"`
}

func told(file string, said signature.Signed) Signed {
	out := Signed{File: file, Signature: file + signature.Suffix, OK: true, Key: said.Key, Handler: said.Handler, Version: said.Version}
	if said.Time != 0 {
		out.Time = time.Unix(said.Time, 0).UTC()
	}
	return out
}

// words tell what a signature says.
func words(said signature.Signed) string {
	all := "with the key " + said.Key
	if said.Handler != "" {
		all += ", for the handler " + said.Handler
	}
	if order := said.String(); order != "" {
		all += ", " + order
	}
	return terminal.Escape(all)
}

// handlerOf is the handler that a file is signed for: a canary's is for the one that it is to become.
func handlerOf(file string) string {
	return canary.Incumbent(strings.TrimSuffix(filepath.Base(file), ".so"))
}

// Sign signs a file.
var Sign = cli.Command{
	Name:  "sign",
	Tells: true,
	Args:  "FILE.so",
	Short: "sign a handler's file with minisign's key, for a daemon whose [Trust] names it",
	Long: "The signature is put beside the file, as FILE.so.minisig, and says for which handler it is, when it was signed and, with --version, which version it is: " +
		"see [Trust] in plugserverd.conf(5). minisign -G makes a key, and minisign verifies what is signed. A key that has a password asks for it.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		key := flags.String("key", "", "the private key, in `FILE`; default ~/.minisign/minisign.key")
		password := flags.String("password-file", "", "`FILE` whose first line is the key's password")
		handler := flags.String("handler", "", "the handler that it is for, a `NAME`; default the file's, any for any handler")
		version := flags.String("version", "", "the version, a `NUMBER` or some with dots between them, such as 1.12.3")
		return func(_ context.Context, s *cli.Session) error {
			said := signature.Signed{Handler: handlerOf(s.Arg(0)), Version: *version, Time: time.Now().Unix()}
			switch {
			case *handler == "any":
				said.Handler = ""
			case *handler != "":
				said.Handler = *handler
			}
			if *version != "" && !signature.IsVersion(*version) {
				return fmt.Errorf("sign: --version is %q; write numbers with dots between them, such as 1.12.3", *version)
			}
			secret, err := readKey(*key, *password)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			said.Key = secret.Public().ID()
			if err := sign(secret, s.Arg(0), said); err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			out := told(s.Arg(0), said)
			s.Tell(out, "signed: %s, %s\n", terminal.Escape(out.Signature), words(said))
			return nil
		}
	},
}

// sign puts the signature beside the file.
func sign(secret signature.Secret, path string, said signature.Signed) error {
	if strings.ContainsAny(said.Handler, " \t\r\n") {
		return fmt.Errorf("%q can be no handler; name it with --handler", said.Handler)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := secret.Sign(f, signature.Comment(said, filepath.Base(path)))
	if err != nil {
		return err
	}
	return Put(path, text)
}

// Put puts the text of a signature beside the file at path, whole or not at all.
func Put(path string, text []byte) error {
	out, err := atomicfile.Create(filepath.Dir(path), "."+filepath.Base(path)+".", 0o644)
	if err != nil {
		return err
	}
	defer out.Discard()
	if _, err := out.Write(text); err != nil {
		return err
	}
	return out.Commit(path + signature.Suffix)
}

// readKey reads a private key, and asks for its password where it has one.
func readKey(path, passwordFile string) (s signature.Secret, err error) {
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return s, fmt.Errorf("%w; name the key with --key", err)
		}
		path = filepath.Join(home, ".minisign", "minisign.key")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("%w; name the key with --key, or make one: minisign -G", err)
	}
	password := ""
	if signature.IsEncrypted(text) {
		if password, err = ask(path, passwordFile); err != nil {
			return s, err
		}
	}
	if s, err = signature.ParseSecret(text, password); err != nil {
		return s, fmt.Errorf("key %q: %w", path, err)
	}
	return s, nil
}

// ask gets the password of a key.
func ask(path, passwordFile string) (string, error) {
	if passwordFile != "" {
		text, err := os.ReadFile(passwordFile)
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return strings.TrimSuffix(string(line), "\r"), err
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("key %q has a password, and there is no terminal to ask for it; write it into a file and name that with --password-file", path)
	}
	defer tty.Close()
	fmt.Fprintf(tty, "Password of %s: ", terminal.Escape(path))
	text, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return string(text), err
}

// Verify tells by whom a file was signed.
var Verify = cli.Command{
	Name:  "verify",
	Tells: true,
	Args:  "FILE.so",
	Short: "tell by whom a handler's file was signed, and whether the signature beside it holds",
	Long: "Without --key the keys are those that the daemon believes, which refuses what they have not signed as this does. " +
		"Exit 1 if there is no signature, or it does not hold.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		var keys []signature.Key
		flags.Func("key", "believe this public key, and the daemon's no more: `FILE`, or the key itself; may be repeated", func(value string) error {
			key, err := publicKey(value)
			keys = append(keys, key)
			return err
		})
		handler := flags.String("handler", "", "the handler that it has to be for, a `NAME`; default the file's")
		return func(ctx context.Context, s *cli.Session) error {
			p := signature.Policy{Keys: keys, Require: true}
			if keys == nil {
				var err error
				if p, err = daemons(ctx, s); err != nil {
					return fmt.Errorf("verify: %w", err)
				}
			}
			name := handlerOf(s.Arg(0))
			if *handler != "" {
				name = *handler
			}
			said, err := verify(p, s.Arg(0), name)
			if r := new(refusal.Error); errors.As(err, &r) {
				r = r.Named(s.Arg(0))
				s.Tell(Signed{File: s.Arg(0), Signature: s.Arg(0) + signature.Suffix, Reason: r.Reason, Mend: r.Mends()}, "")
				report.Refusal(s.Problems, filepath.Base(s.Arg(0)), api.Refusal{Reason: r.Reason, Mend: r.Mend, Or: r.Or})
				return cli.ErrRefused
			}
			if err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			s.Tell(told(s.Arg(0), said), "signed: %s, %s\n", terminal.Escape(s.Arg(0)), words(said))
			return nil
		}
	},
}

// verify decides on a file by the signature beside it.
func verify(p signature.Policy, path, handler string) (said signature.Signed, err error) {
	f, err := os.Open(path)
	if err != nil {
		return said, err
	}
	defer f.Close()
	text, _, err := signature.Read(path)
	if err != nil && !errors.Is(err, signature.ErrNone) {
		return said, err
	}
	return p.Check(handler, f, text)
}

// publicKey reads a key, or a file of one.
func publicKey(value string) (signature.Key, error) {
	if key, err := signature.ParseKey(value); err == nil {
		return key, nil
	}
	text, err := os.ReadFile(value)
	if err != nil {
		return signature.Key{}, errors.New("neither a public key of minisign nor a file of one")
	}
	return signature.ParseKey(string(text))
}

// daemons is whom the daemon believes.
func daemons(ctx context.Context, s *cli.Session) (p signature.Policy, err error) {
	st, err := s.Client.Status(ctx)
	if err != nil {
		return p, fmt.Errorf("%w; or name the keys with --key", err)
	}
	if st.Daemon.Trust == nil {
		return p, errors.New("the daemon looks at no signatures, for [Trust] of plugserverd.conf names no key; name one with --key")
	}
	p, err = Policy(st.Daemon.Trust)
	p.Require = true
	return p, err
}

// Policy is what a daemon that says so believes, nothing where it looks at no signatures.
func Policy(t *api.Trust) (p signature.Policy, err error) {
	if t == nil {
		return p, nil
	}
	p = signature.Policy{Revoked: t.Revoked, Require: t.Require, Monotonic: t.Monotonic}
	for _, text := range t.Keys {
		key, err := signature.ParseKey(text)
		if err != nil {
			return p, err
		}
		p.Keys = append(p.Keys, key)
	}
	return p, nil
}
