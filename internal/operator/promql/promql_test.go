package promql

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFilters(t *testing.T) {
	for condition, want := range map[string]bool{
		`sum(rate(errors[5m])) < 1`:                  true,
		`x==1`:                                       true,
		`count(up{job="a"} == 1) >= bool 3`:          false,
		`x > bool 1`:                                 false,
		`(x >=bool 1)`:                               false,
		`x < on(job) group_left y`:                   true,
		`up{job=~"a|b",path!="<"}`:                   false,
		`absent(ALERTS{alertname="a}>b"})`:           false,
		"up # > 3\n":                                 false,
		"label_replace(up, 'a', `>`, \"\\\"<\", '')": false,
		`1`: false,
	} {
		if got := filters(condition); got != want {
			t.Errorf("%s: %v", condition, got)
		}
	}
}

func TestAsk(t *testing.T) {
	for _, tt := range []struct {
		condition, answer string
		status            int
		holds             bool
		want              string // the text, or in the error
	}{
		{"x < 1", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]}}`, 200, true, "0"},
		{"x < bool 1", `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"0"]}]}}`, 200, false, "2 values from 0 to 1"},
		{"up", `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"1"]}]}}`, 200, true, "2 values from 1 to 1"},
		{"up", `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"NaN"]}]}}`, 200, false, "NaN"},
		{"up", `{"status":"success","data":{"resultType":"vector","result":[]}}`, 200, false, "nothing"},
		{"2 > bool 1", `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, 200, true, "1"},
		{"up[5m]", `{"status":"success","data":{"resultType":"matrix","result":[]}}`, 200, false, "not a condition: a result of type \"matrix\""},
		{"up(", `{"status":"error","errorType":"bad_data","error":"parse error: unclosed"}`, 400, false, "not a condition: parse error: unclosed"},
		{"up", `{"status":"success","data":{"resultType":"vector","result":[{"histogram":[1,{}]}]}}`, 200, false, "histograms are none"},
		{"up", `<html>`, 200, false, `answers as none does: "<html>"`},
		{"up", `gone`, 502, false, "answers 502"},
		{"up", strings.Repeat(" ", mostBytes+1), 200, false, "aggregate it"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/under/api/v1/query" || r.FormValue("query") != tt.condition {
				t.Errorf("asked for %s, %q", r.URL, r.FormValue("query"))
			}
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.answer)
		}))
		p, err := New(server.URL + "/under/")
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Ask(t.Context(), tt.condition)
		if said := got.Text; err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && said != tt.want || got.Holds != tt.holds {
			t.Errorf("%s: %+v, %v; want %v, %q", tt.condition, got, err, tt.holds, tt.want)
		}
		if errors.Is(err, ErrQuestion) != (err != nil && strings.Contains(err.Error(), "not a condition")) {
			t.Errorf("%s: %v", tt.condition, err)
		}
		server.Close()
	}
	for _, at := range []string{"prometheus:9090", "ftp://a", "", "http://"} {
		if _, err := New(at); err == nil {
			t.Errorf("%q is taken", at)
		}
	}
}
