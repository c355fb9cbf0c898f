package verdict

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

func TestOf(t *testing.T) {
	why := &refusal.Error{Reason: "why"}
	handler := &elfplug.Info{Exports: []string{"Handler"}}
	loads := func(*elfplug.Info) (catalogue.Binary, *refusal.Error) {
		return catalogue.Binary{Name: "cell", Info: &elfplug.Info{}}, nil
	}
	nearest := func(*elfplug.Info) (catalogue.Binary, *refusal.Error) {
		return catalogue.Binary{Name: "near", Info: &elfplug.Info{}}, why
	}
	for _, tt := range []struct {
		name   string
		info   *elfplug.Info
		err    error
		choose func(*elfplug.Info) (catalogue.Binary, *refusal.Error)
		at     Step
		cell   string
		failed bool
	}{
		{"no plugin", nil, why, loads, Plugin, "", false},
		{"no plugin, told with where", nil, fmt.Errorf("read: %w", why), loads, Plugin, "", false},
		{"not read", nil, fs.ErrPermission, loads, Plugin, "", true},
		{"no handler", &elfplug.Info{}, nil, loads, Contract, "", false},
		{"no cell", handler, nil, nearest, Cell, "near", false},
		{"all is well", handler, nil, loads, Passed, "cell", false},
	} {
		v, err := Of(tt.info, tt.err, tt.choose)
		if v.At != tt.at || v.Cell.Name != tt.cell || (v.Refusal == nil) != (tt.failed || tt.at == Passed) || (err != nil) != tt.failed || tt.failed && !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v", tt.name, v, err)
		}
	}
}
