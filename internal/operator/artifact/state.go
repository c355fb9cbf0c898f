package artifact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// An Entry is one handler of a desired state, for one platform.
type Entry struct {
	Name     string
	Platform string
	Manifest Descriptor // of its manifest
}

func (e Entry) compare(o Entry) int {
	return cmp.Or(cmp.Compare(e.Name, o.Name), cmp.Compare(e.Platform, o.Platform))
}

// A State is what is to be served: handlers by name, platform and digest, sorted. It says
// nothing else, so that two states are the same where their digests are.
type State []Entry

// EntryOf describes a handler whose manifest is b.
func EntryOf(h Handler, b []byte) Entry {
	return Entry{h.Name, h.Platform, Blob(ManifestType, b)}
}

// Encode writes the index, in one order whatever that of s.
func (s State) Encode() []byte {
	d := document{MediaType: IndexType, ArtifactType: StateType, Manifests: []Descriptor{}}
	for _, e := range slices.SortedFunc(slices.Values(s), Entry.compare) {
		platform := ParsePlatform(e.Platform)
		d.Manifests = append(d.Manifests, Descriptor{MediaType: ManifestType, ArtifactType: HandlerType, Digest: e.Manifest.Digest,
			Size: e.Manifest.Size, Platform: &platform, Annotations: map[string]string{nameKey: e.Name}})
	}
	return d.encode()
}

// DecodeState reads the index of a desired state.
func DecodeState(b []byte) (State, error) {
	d, err := decode(b, MaxIndex, IndexType, StateType, "desired state")
	if err != nil {
		return nil, err
	}
	if len(d.Manifests) > maxHandlers {
		return nil, fmt.Errorf("desired state: %d handlers, where %d are possible", len(d.Manifests), maxHandlers)
	}
	s := make(State, 0, len(d.Manifests))
	for i, m := range d.Manifests {
		e, err := entry(m)
		if err != nil {
			return nil, fmt.Errorf("desired state: entry %d: %w", i+1, err)
		}
		s = append(s, e)
	}
	slices.SortFunc(s, Entry.compare)
	for i := range len(s) - 1 {
		if s[i].compare(s[i+1]) == 0 {
			return nil, fmt.Errorf("desired state: handler %s for %s is there twice", s[i].Name, s[i].Platform)
		}
	}
	return s, nil
}

func entry(m Descriptor) (e Entry, err error) {
	e.Name = m.Annotations[nameKey]
	if err := checkName(e.Name); err != nil {
		return e, err
	}
	if m.Platform == nil {
		return e, errors.New("handler " + e.Name + " has no platform")
	}
	e.Platform = m.Platform.String()
	if err := CheckPlatform(e.Platform); err != nil {
		return e, fmt.Errorf("handler %s: %w", e.Name, err)
	}
	if err := m.check(ManifestType, MaxManifest); err != nil {
		return e, fmt.Errorf("handler %s %w", e.Name, err)
	}
	if m.ArtifactType != "" && m.ArtifactType != HandlerType {
		return e, fmt.Errorf("handler %s: %w", e.Name, foreign(document{ArtifactType: m.ArtifactType}, HandlerType))
	}
	e.Manifest = Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
	return e, nil
}

// Find is the entry of a handler for a platform.
func (s State) Find(name, platform string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(s, Entry{Name: name, Platform: platform}, Entry.compare)
	if !ok {
		return Entry{}, false
	}
	return s[i], true
}

// For is what a box of one platform is to serve. Others are the names of the handlers that
// there are for other platforms alone.
func (s State) For(platform string) (all State, others []string) {
	for _, e := range s {
		if e.Platform == platform {
			all = append(all, e)
		} else if _, has := s.Find(e.Name, platform); !has {
			others = append(others, e.Name)
		}
	}
	return all, slices.Compact(others)
}

// With is s with entries, of which no two are of one name and platform, in place of those
// of the same names and platforms.
func (s State) With(entries ...Entry) State {
	all := State(slices.SortedFunc(slices.Values(entries), Entry.compare))
	for _, e := range s {
		if _, replaced := slices.BinarySearchFunc(all[:len(entries)], e, Entry.compare); !replaced {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, Entry.compare)
	return all
}

// Without is s without the entries that go.
func (s State) Without(goes func(Entry) bool) State { return slices.DeleteFunc(slices.Clone(s), goes) }

// Names are those of all handlers, each once.
func (s State) Names() (names []string) {
	for _, e := range s {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A Change is what differs in one handler, for one platform. An empty digest is none.
type Change struct {
	Name     string `json:"handler"`
	Platform string `json:"platform"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
}

// Diff is what makes to out of s.
func (s State) Diff(to State) (all []Change) {
	for _, e := range s {
		now, _ := to.Find(e.Name, e.Platform)
		if now.Manifest.Digest != e.Manifest.Digest {
			all = append(all, Change{e.Name, e.Platform, e.Manifest.Digest, now.Manifest.Digest})
		}
	}
	for _, e := range to {
		if _, was := s.Find(e.Name, e.Platform); !was {
			all = append(all, Change{Name: e.Name, Platform: e.Platform, To: e.Manifest.Digest})
		}
	}
	slices.SortFunc(all, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Platform, b.Platform))
	})
	return all
}
