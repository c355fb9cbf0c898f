package cli

import (
	"errors"
	"flag"
)

// Switch declares a flag that is on unless it is off.
func Switch(flags *flag.FlagSet, name, what string) *bool {
	on := true
	flags.Func(name, "`on` or off: "+what+"; default on", func(s string) error {
		if s != "on" && s != "off" {
			return errors.New("want on or off")
		}
		on = s == "on"
		return nil
	})
	return &on
}
