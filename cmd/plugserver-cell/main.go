// Plugserver-cell loads one handler and serves the connections that are handed
// to it. Plugserverd starts it, one for each handler; by hand it is of no use.
package main

import (
	"fmt"
	"os"

	"github.com/andrestc/go-plugserver/internal/cell"
	"github.com/andrestc/go-plugserver/internal/link"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "plugserver-cell:", err)
		os.Exit(1)
	}
}

func run() error {
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		return fmt.Errorf("%w; cells are started by plugserverd", err)
	}
	cell.Run(lc)
	return nil
}
