package observe

import (
	"encoding/json"
	"testing"
)

func TestFamilies(t *testing.T) {
	const text = `# HELP a_total How often, in \\words.
# TYPE a_total counter
a_total{handler="a b",code="5{x}xx"} 3
a_total{handler="q\"\\\n,}"} 1.5e+06
# TYPE d histogram
d_bucket{le="+Inf"} 2
d_sum 0.25
# TYPE g gauge
g NaN
`
	const want = `[{"name":"a_total","type":"counter","help":"How often, in \\\\words.","samples":[` +
		`{"name":"a_total","labels":{"code":"5{x}xx","handler":"a b"},"value":3},{"name":"a_total","labels":{"handler":"q\"\\\n,}"},"value":1500000}]},` +
		`{"name":"d","type":"histogram","help":"","samples":[{"name":"d_bucket","labels":{"le":"+Inf"},"value":2},{"name":"d_sum","value":0.25}]},` +
		`{"name":"g","type":"gauge","help":"","samples":[{"name":"g","value":null}]}]`
	all, err := families(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(all); string(got) != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	for _, bad := range []string{"a", "a{b} 1", "a x", "{} 1", `a{b="c} 1`} {
		if all, err := families(bad + "\n"); err == nil {
			t.Errorf("%q is %+v", bad, all)
		}
	}
	if all, err := families(""); err != nil || all == nil {
		t.Errorf("of nothing: %v, %v", all, err)
	}
}
