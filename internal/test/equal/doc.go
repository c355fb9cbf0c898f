// Package equal holds plugserver's bytes against net/http's: the same handlers
// run as plugins of a real daemon and compiled into a plain net/http server, and
// clients written from the RFCs say the same bytes to both. A case is a script
// of what a client does; equal are all bytes that it gets, in their order, how
// the connection ends, and what the handlers were told.
//
// What is meant to differ stands in docs/differences.md, with its reason; what
// differs and should not, in testdata/faults.txt. A case that is listed there and
// has become equal fails the test: the list only shrinks.
//
//	go test ./internal/test/equal                                  # every third case, at rest and while handlers are replaced; fewer over TLS, and lent
//	go test ./internal/test/equal -args -all                       # every case
//	go test ./internal/test/equal -run 'Equal$' -args -case 'expect/.*@new' -show
//	go test ./internal/test/equal -run Fuzz -args -seed 7 -n 20000 # scripts of random requests and splits
//	go test ./internal/test/equal -args -all -rounds 3 -update     # write faults.txt anew
//	go test ./internal/test/equal -args -release go1.24.10         # handlers and reference built by that release
//
// All of it is tests.
package equal
