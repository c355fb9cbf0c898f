// Package promql asks Prometheus whether a condition holds.
package promql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prometheus is one that is asked.
type Prometheus struct {
	query  *url.URL
	client http.Client
}

// mostTime bounds one question, and mostBytes its answer.
const (
	mostTime  = 15 * time.Second
	mostBytes = 4 << 20
)

// New takes the URL of a Prometheus, or of what answers as one: http://prometheus:9090. A
// user and a password in it are sent along.
func New(at string) (*Prometheus, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL such as http://prometheus.example.com:9090", at)
	}
	return &Prometheus{query: u.JoinPath("api/v1/query"), client: http.Client{Timeout: mostTime}}, nil
}

// ErrQuestion says that a question makes no sense: to ask it again is of no use.
var ErrQuestion = errors.New("not a condition")

// Answer is what a condition came to.
type Answer struct {
	Holds bool
	Text  string // the values, for people
}

// Ask asks whether a condition in PromQL holds now. One that compares, without bool, holds
// where it returns anything: Prometheus leaves out what it is not so of. Any other holds
// where it returns something, and no value is 0 or NaN.
func (p *Prometheus) Ask(ctx context.Context, condition string) (Answer, error) {
	body, err := p.ask(ctx, condition)
	if err != nil {
		return Answer{}, fmt.Errorf("prometheus: %w", err)
	}
	var said struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return Answer{}, fmt.Errorf("prometheus: %s answers as none does: %.100q", p.query.Redacted(), body)
	}
	if said.Status != "success" {
		return Answer{}, fmt.Errorf("prometheus: %w: %s", ErrQuestion, said.Error)
	}
	values, err := samples(said.Data.ResultType, said.Data.Result)
	if err != nil {
		return Answer{}, err
	}
	return decide(values, said.Data.ResultType == "vector" && filters(condition)), nil
}

func (p *Prometheus) ask(ctx context.Context, condition string) ([]byte, error) {
	// By POST no condition is too long, nor in the log of a proxy.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.query.String(), strings.NewReader(url.Values{"query": {condition}}.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > mostBytes:
		return nil, fmt.Errorf("%w: its answer is longer than %d bytes; aggregate it", ErrQuestion, mostBytes)
	case answer.StatusCode == http.StatusOK, answer.StatusCode == http.StatusBadRequest, answer.StatusCode == http.StatusUnprocessableEntity:
		return body, nil
	}
	return nil, fmt.Errorf("%s answers %s", p.query.Redacted(), answer.Status)
}

// samples are the values of a result.
func samples(kind string, result json.RawMessage) ([]float64, error) {
	var points [][2]any
	switch kind {
	case "scalar":
		points = make([][2]any, 1)
		if err := json.Unmarshal(result, &points[0]); err != nil {
			return nil, fmt.Errorf("prometheus: %w", err)
		}
	case "vector":
		var all []struct{ Value [2]any }
		if err := json.Unmarshal(result, &all); err != nil {
			return nil, fmt.Errorf("prometheus: %w", err)
		}
		for _, s := range all {
			points = append(points, s.Value)
		}
	default:
		return nil, fmt.Errorf("prometheus: %w: a result of type %.20q; ask for a vector or a scalar", ErrQuestion, kind)
	}
	values := make([]float64, len(points))
	for i, point := range points {
		text, _ := point[1].(string)
		var err error
		if values[i], err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fmt.Errorf("prometheus: a value of %.20q; histograms are none", text)
		}
	}
	return values, nil
}

func decide(values []float64, filter bool) Answer {
	if len(values) == 0 {
		return Answer{Text: "nothing"}
	}
	low, high, zero := math.Inf(1), math.Inf(-1), false
	for _, v := range values {
		low, high = math.Min(low, v), math.Max(high, v) // either is NaN where one is
		zero = zero || v == 0 || math.IsNaN(v)
	}
	text := strconv.FormatFloat(low, 'g', 6, 64)
	if len(values) > 1 {
		text = fmt.Sprintf("%d values from %s to %s", len(values), text, strconv.FormatFloat(high, 'g', 6, 64))
	}
	return Answer{filter || !zero, text}
}

var (
	unsaid     = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`|#[^\\n]*")
	selectors  = regexp.MustCompile(`\{[^{}]*\}`)
	comparison = regexp.MustCompile(`(?:[=!<>]=|[<>])\s*(bool\b)?`)
)

// filters reports whether a condition leaves out what it is not so of. Where it says bool
// anywhere it is taken for one that does not, so that no 0 passes.
func filters(condition string) bool {
	condition = unsaid.ReplaceAllString(condition, "_")
	condition = selectors.ReplaceAllString(condition, "")
	all := comparison.FindAllStringSubmatch(condition, -1)
	return all != nil && !slices.ContainsFunc(all, func(m []string) bool { return m[1] != "" })
}
