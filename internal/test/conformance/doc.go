// Package conformance has suites of the protocols' rules played against a real daemon, at
// rest and while its handlers are replaced, and against a plain net/http server beside it:
// h2spec (RFC 9113 and 7541), and cases written from RFC 9110 and 9112. What the plain
// server gets right the daemon has to.
//
//	go test -v ./internal/test/conformance               # tells what each fails
//	go test -v ./internal/test/conformance -reloads 60   # a reload a second, for a minute
//
// All of it is tests.
package conformance
