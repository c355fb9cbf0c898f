// Plugserver-cell loads one handler and serves the connections that are handed
// to it. Plugserverd starts it, one for each handler; by hand it is of no use.
package main

import (
	"fmt"
	"os"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/cell"
)

func main() {
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "plugserver-cell: %v; cells are started by plugserverd\n", err)
		os.Exit(1)
	}
	if cell.Run(lc) != nil {
		os.Exit(1) // the supervisor was told why
	}
}
