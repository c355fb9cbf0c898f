package gobuild

import (
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// own are a plugin's flags that do not come from its cell.
type own struct {
	goflags string   // as go reads them
	flags   []string // of the command line, each with its value: they win
}

// given returns each flag's last value by its name, such as "-tags".
func (o own) given() map[string]string {
	all := make(map[string]string)
	for _, f := range append(strings.Fields(o.goflags), o.flags...) {
		f = strings.Trim(f, `'"`)
		if name, value, _ := strings.Cut(f, "="); strings.HasPrefix(name, "-") {
			all["-"+strings.TrimLeft(name, "-")] = value
		}
	}
	return all
}

// beside returns the flags of a build for a cell: the cell's, where o says
// nothing else, then o's. Tags add up.
func (o own) beside(cell []string) []string {
	given := o.given()
	flags, tags := []string(nil), ""
	for _, f := range cell {
		name, value, _ := strings.Cut(f, "=")
		mine, ok := given[name]
		switch {
		case ok && name == "-tags":
			tags = "-tags=" + value + "," + mine
		case !ok:
			flags = append(flags, f)
		}
	}
	flags = append(flags, o.flags...)
	if tags != "" {
		flags = append(flags, tags)
	}
	return flags
}

// asked reports whether a plugin was built otherwise than its cell because o
// says so: it is for another cell then.
func (o own) asked(built, cell *elfplug.Info) bool {
	given := o.given()
	return slices.ContainsFunc(elfplug.Mismatches(built, cell), func(m elfplug.Mismatch) bool {
		_, ok := given[m.Name]
		return ok && m.Kind == elfplug.MismatchFlag
	})
}
