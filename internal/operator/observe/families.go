package observe

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// family is one metric.
type family struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Help    string   `json:"help"`
	Samples []sample `json:"samples"`
}

// sample is one of its values. Those of a histogram have names of their own.
type sample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  *float64          `json:"value"` // nil is no number
}

var (
	line  = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	label = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*"),?`)
)

// families reads what the daemon says of its metrics, in the text format of Prometheus, version 0.0.4.
func families(text string) (all []family, err error) {
	all = []family{}
	last := func(name string) *family {
		if n := len(all); n == 0 || name != "" && all[n-1].Name != name {
			all = append(all, family{Name: name})
		}
		return &all[len(all)-1]
	}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if is, ok := strings.CutPrefix(l, "# "); ok {
			f := strings.SplitN(is, " ", 3)
			switch {
			case len(f) == 3 && f[0] == "HELP":
				last(f[1]).Help = f[2]
			case len(f) == 3 && f[0] == "TYPE":
				last(f[1]).Type = f[2]
			}
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			return nil, fmt.Errorf("the daemon says %.100q, which is no metric", l)
		}
		s := sample{Name: m[1]}
		if s.Labels, err = labels(m[2]); err != nil {
			return nil, err
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("the daemon says %.100q, whose value is no number", l)
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			s.Value = &v
		}
		of := last("")
		of.Samples = append(of.Samples, s)
	}
	return all, nil
}

// labels reads what is between braces.
func labels(text string) (all map[string]string, err error) {
	for text != "" {
		m := label.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("the daemon says %.100q, which are no labels", text)
		}
		if all == nil {
			all = make(map[string]string)
		}
		all[m[1]] = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`).Replace(m[2][1 : len(m[2])-1])
		text = text[len(m[0]):]
	}
	return all, nil
}
