// Plugserver-acme obtains certificates by ACME for plugserverd, which starts it. It is a
// program of its own so that neither the supervisor nor the gate, nor what they have in
// memory, grows by what it needs.
package main

import (
	"fmt"
	"os"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/certifier/issue"
)

func main() {
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "plugserver-acme: %v; it is started by plugserverd, where [TLS] in plugserverd.conf has ACME=yes\n", err)
		os.Exit(2)
	}
	issue.Run(lc)
}
