package main

import (
	"context"
	"flag"
	"runtime"

	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/scaffold"
)

var newCommand = cli.Command{
	Name:  "new",
	Tells: true,
	Args:  "NAME",
	Short: "begin a handler: a folder with its code, its test and a go.mod",
	Long:  "It builds and passes its test as it stands, with the Go release of the installed cell and without the network.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		binaries := cellFlags(flags)
		return func(_ context.Context, s *cli.Session) error { return create(s, s.Arg(0), cellRelease(binaries())) }
	},
}

func create(s *cli.Session, name, release string) error {
	if err := deploy.CheckName(name); err != nil {
		return err
	}
	if err := scaffold.Write(name, release); err != nil {
		return err
	}
	s.Tell(struct {
		Created string `json:"created"` // the folder
	}{name}, "created: %s; go on with: cd %s && go test . && plugserverctl install .\n", name, name)
	return nil
}

// cellRelease is the Go release of the installed cell, or where there is none
// that of this command, as go.mod has it.
func cellRelease(binaries *catalogue.Catalogue) string {
	for _, c := range binaries.List() {
		if c.Ignored == nil {
			return scaffold.GoLine(c.Info.GoVersion)
		}
	}
	return scaffold.GoLine(runtime.Version())
}
