package artifact

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Annotations of a record.
const (
	whenKey     = "org.opencontainers.image.created"
	byKey       = prefix + "by"
	actionKey   = prefix + "action"
	fromKey     = prefix + "from"
	previousKey = prefix + "previous"
	ifKey       = prefix + "if"
)

// MaxHistory bounds the records that a tag's history keeps.
const MaxHistory = 100

// What a record says was done.
const (
	Pushed   = "push"
	Promoted = "promote"
)

// A Record is one change of what a tag names. It is kept beside the desired states, not in
// them: one that was promoted keeps its digest.
type Record struct {
	State    Descriptor // what the tag named from then on
	When     time.Time  // to the second
	By       string     // who, in their own words
	Action   string     // Pushed or Promoted
	From     string     // the reference that was promoted, with the digest
	Previous string     // the digest that the tag named before; "" for none
	If       string     // what was asked before, and the answers
}

// History is what a tag has named, the newest first. Its index is under a tag of its own,
// and names the states, so that a registry which deletes what nothing names keeps them.
type History []Record

// HistoryTag is the tag of the history of a tag.
func HistoryTag(tag string) string { return tag + ".history" }

// IsHistory reports whether a tag is that of a history.
func IsHistory(tag string) bool { return strings.HasSuffix(tag, ".history") }

// Encode writes the index, with no more than the newest records that it keeps.
func (h History) Encode() []byte {
	d := document{MediaType: IndexType, ArtifactType: HistoryType, Manifests: []Descriptor{}}
	for _, r := range h[:min(len(h), MaxHistory)] {
		m := Descriptor{MediaType: IndexType, ArtifactType: StateType, Digest: r.State.Digest, Size: r.State.Size,
			Annotations: map[string]string{whenKey: r.When.UTC().Format(time.RFC3339)}}
		for key, value := range map[string]string{byKey: r.By, actionKey: r.Action, fromKey: r.From, previousKey: r.Previous, ifKey: r.If} {
			if value != "" {
				m.Annotations[key] = clip(value)
			}
		}
		d.Manifests = append(d.Manifests, m)
	}
	return d.encode()
}

// DecodeHistory reads the index of a history.
func DecodeHistory(b []byte) (History, error) {
	d, err := decode(b, MaxIndex, IndexType, HistoryType, "history")
	if err != nil {
		return nil, err
	}
	h := make(History, 0, min(len(d.Manifests), MaxHistory))
	for i, m := range d.Manifests[:min(len(d.Manifests), MaxHistory)] {
		if err := m.check(IndexType, MaxIndex); err != nil {
			return nil, fmt.Errorf("history: record %d %w", i+1, err)
		}
		when, err := time.Parse(time.RFC3339, m.Annotations[whenKey])
		if err != nil || when.Year() < 1 || when.Year() > 9999 {
			return nil, fmt.Errorf("history: record %d: its time is %.100q", i+1, m.Annotations[whenKey])
		}
		r := Record{State: Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, When: when.UTC(), By: m.Annotations[byKey],
			Action: m.Annotations[actionKey], From: m.Annotations[fromKey], Previous: m.Annotations[previousKey], If: m.Annotations[ifKey]}
		if r.Previous != "" && !IsDigest(r.Previous) {
			return nil, fmt.Errorf("history: record %d: what was before is %.100q, which is no SHA-256", i+1, r.Previous)
		}
		h = append(h, r)
	}
	return h, nil
}

// With is h with one record more.
func (h History) With(r Record) History { return slices.Insert(slices.Clone(h), 0, r) }

// Has reports whether a record is there.
func (h History) Has(r Record) bool { return h.index(r) >= 0 }

func (h History) index(r Record) int {
	return slices.IndexFunc(h, func(o Record) bool {
		return o.State.Digest == r.State.Digest && o.Previous == r.Previous && o.By == r.By && o.When.Equal(r.When)
	})
}

// Overtaken returns a change whose place r has taken unseen: it was made of what r was made of, and recorded before r, and
// whoever made it has not made another since.
func (h History) Overtaken(r Record) (o Record, is bool) {
	at := h.index(r)
	if at < 0 {
		return o, false
	}
	for _, o := range h[at+1:] {
		if o.State.Digest == r.Previous {
			break
		}
		if o.Previous == r.Previous {
			return o, !slices.ContainsFunc(h[:at], func(later Record) bool { return later.By == o.By })
		}
	}
	return o, false
}
