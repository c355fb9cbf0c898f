package artifact

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Handler is one file of a handler, for one platform: what its manifest says.
type Handler struct {
	Name     string
	Platform string // such as linux/amd64
	Go       string // the Go release that built it
	Settings string // flags and environment of its build, such as "CGO_ENABLED=1 -trimpath=true"
	Revision string // of version control; "" where the build does not tell
	Modified bool   // there were changes that are not in the revision

	Plugin    Descriptor  // the layer that is the file
	Signature *Descriptor // the layer that is its .minisig; nil if there was none
}

// About takes what annotations say out of a plugin's own build information.
func (h *Handler) About(release string, settings map[string]string) {
	h.Go = clip(release)
	h.Revision, h.Modified = clip(settings["vcs.revision"]), settings["vcs.modified"] == "true"
	var all []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		// The others say nothing, are said otherwise, or differ between two builds of the same.
		if settings[key] == "" || strings.HasPrefix(key, "vcs") || slices.Contains([]string{"-buildmode", "-compiler", "GOOS", "GOARCH"}, key) {
			continue
		}
		value := settings[key]
		if strings.ContainsAny(value, " \"") {
			value = strconv.Quote(value)
		}
		all = append(all, key+"="+value)
	}
	h.Settings = clip(strings.Join(all, " "))
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), mostText)], "") }

// annotations are what is said of the handler beside its files.
func (h Handler) annotations() map[string]string {
	said := map[string]string{nameKey: h.Name, platformKey: h.Platform}
	for key, value := range map[string]string{goKey: h.Go, settingsKey: h.Settings, revisionKey: h.Revision} {
		if value != "" {
			said[key] = value
		}
	}
	if h.Modified {
		said[modifiedKey] = "true"
	}
	return said
}

// Encode writes the manifest.
func (h Handler) Encode() []byte {
	d := document{MediaType: ManifestType, ArtifactType: HandlerType, Config: &Empty, Annotations: h.annotations()}
	layer := func(of Descriptor, mediaType, file string) {
		d.Layers = append(d.Layers, Descriptor{MediaType: mediaType, Digest: of.Digest, Size: of.Size, Annotations: map[string]string{titleKey: file}})
	}
	layer(h.Plugin, PluginType, h.Name+".so")
	if h.Signature != nil {
		layer(*h.Signature, SignatureType, h.Name+".so.minisig")
	}
	return d.encode()
}

// DecodeHandler reads the manifest of a handler. Layers of types that are not known are
// passed over.
func DecodeHandler(b []byte) (h Handler, err error) {
	d, err := decode(b, MaxManifest, ManifestType, HandlerType, "manifest of a handler")
	if err != nil {
		return h, err
	}
	h = Handler{
		Name: d.Annotations[nameKey], Platform: d.Annotations[platformKey], Go: d.Annotations[goKey], Settings: d.Annotations[settingsKey],
		Revision: d.Annotations[revisionKey], Modified: d.Annotations[modifiedKey] == "true",
	}
	if err := h.layers(d.Layers); err != nil {
		return Handler{}, fmt.Errorf("manifest of handler %.100q: %w", h.Name, err)
	}
	return h, nil
}

// layers checks the name, and finds the two layers.
func (h *Handler) layers(all []Descriptor) error {
	if err := checkName(h.Name); err != nil {
		return err
	}
	if err := CheckPlatform(h.Platform); err != nil {
		return err
	}
	for _, l := range all {
		switch {
		case l.MediaType == PluginType && h.Plugin.Digest != "", l.MediaType == SignatureType && h.Signature != nil:
			return fmt.Errorf("has two layers of type %s", l.MediaType)
		case l.MediaType == PluginType:
			if err := l.check(PluginType, MaxPlugin); err != nil {
				return fmt.Errorf("its file %w", err)
			}
			h.Plugin = l
		case l.MediaType == SignatureType:
			if err := l.check(SignatureType, MaxSignature); err != nil {
				return fmt.Errorf("its signature %w", err)
			}
			h.Signature = &l
		}
	}
	if h.Plugin.Digest == "" {
		return errors.New("has no layer of type " + PluginType)
	}
	return nil
}

// CheckPlatform refuses what no plugin runs on.
func CheckPlatform(s string) error {
	system, arch, ok := strings.Cut(s, "/")
	word := func(w string) bool {
		return w != "" && len(w) <= 20 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	}
	if !ok || !word(system) || !word(arch) {
		return fmt.Errorf("%.100q is no platform such as linux/amd64", s)
	}
	return nil
}
