// Package artifact is how handlers lie in an OCI registry: a manifest for each handler and
// platform, and an index of these under a tag, which is the desired state of a box; or as the
// layers of an image. It does no I/O, but with the readers and writers that it is given. What
// it writes has no time and no place in it, so that the same files have the same digests
// wherever and by whomever they are pushed; what it reads comes from a registry, and is
// bounded and checked.
package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Types of what is stored.
const (
	HandlerType   = "application/vnd.plugserver.handler.v1"           // artifactType of a handler's manifest
	StateType     = "application/vnd.plugserver.handlers.v1"          // artifactType of a desired state
	HistoryType   = "application/vnd.plugserver.history.v1"           // artifactType of what a tag has named
	PluginType    = "application/vnd.plugserver.handler.plugin.v1"    // mediaType of the layer that is the .so
	SignatureType = "application/vnd.plugserver.handler.signature.v1" // mediaType of the layer that is the .minisig
	ManifestType  = "application/vnd.oci.image.manifest.v1+json"
	IndexType     = "application/vnd.oci.image.index.v1+json"
	EmptyType     = "application/vnd.oci.empty.v1+json"
)

// Annotations, besides those that OCI defines.
const (
	prefix         = "com.github.andrestc.go-plugserver."
	nameKey        = prefix + "handler"
	goKey          = prefix + "go"       // the Go release, such as go1.26.8
	settingsKey    = prefix + "settings" // flags and environment of the build, as go version -m has them
	platformKey    = prefix + "platform"
	imagesKey      = prefix + "images"   // "true" of an index of images
	modifiedKey    = prefix + "modified" // "true" where the revision had changes that were in no commit
	revisionKey    = "org.opencontainers.image.revision"
	titleKey       = "org.opencontainers.image.title" // the name of a layer's file, for tools that write layers as files
	mostText       = 4 << 10                          // bytes of an annotation
	mostDescriptor = 16 << 10                         // bytes of a descriptor's annotations, together
)

// Bounds of what is read, in bytes, and of handlers in a state.
const (
	MaxIndex     = 4 << 20 // what registries take of a manifest
	MaxManifest  = 64 << 10
	MaxPlugin    = 2 << 30
	MaxSignature = 8 << 10
	maxHandlers  = 10000
)

// Empty is the blob that the manifest of an artifact has for its config.
var Empty = Blob(EmptyType, []byte("{}"))

// A Descriptor names content by its digest.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"` // "sha256:" and 64 hex digits
	Size         int64             `json:"size"`
	Platform     *Platform         `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Platform is what a plugin runs on.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// String is as Go writes it: linux/amd64.
func (p Platform) String() string { return p.OS + "/" + p.Architecture }

// ParsePlatform is String's opposite.
func ParsePlatform(s string) Platform {
	system, arch, _ := strings.Cut(s, "/")
	return Platform{OS: system, Architecture: arch}
}

// Blob describes content.
func Blob(mediaType string, content []byte) Descriptor {
	d, _ := ReadBlob(mediaType, bytes.NewReader(content)) // which has no errors
	return d
}

// ReadBlob describes what is left of r.
func ReadBlob(mediaType string, r io.Reader) (Descriptor, error) {
	hash := sha256.New()
	size, err := io.Copy(hash, r)
	return Descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(hash.Sum(nil)), Size: size}, err
}

// Short is a digest for people: twelve digits, as versions of handlers have.
func Short(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(12, len(hex))]
}

// IsDigest reports whether s is a digest of the one kind that is used here.
func IsDigest(s string) bool {
	digits, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
}

// check bounds what a registry says of content.
func (d Descriptor) check(mediaType string, most int64) error {
	switch {
	case d.MediaType != mediaType:
		return fmt.Errorf("is of type %.100q, not %s", d.MediaType, mediaType)
	case !IsDigest(d.Digest):
		return fmt.Errorf("has the digest %.100q, which is no SHA-256", d.Digest)
	case d.Size < 1 || d.Size > most:
		return fmt.Errorf("has a size of %d bytes, where 1 to %d are possible", d.Size, most)
	}
	return bounded(d.Annotations)
}

func bounded(annotations map[string]string) error {
	all := 0
	for key, value := range annotations {
		all += len(key) + len(value)
	}
	if all > mostDescriptor {
		return fmt.Errorf("has annotations of %d bytes, where %d are possible", all, mostDescriptor)
	}
	return nil
}

// document is a manifest or an index, as far as it is read.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *Descriptor       `json:"config,omitempty"`
	Layers        []Descriptor      `json:"layers,omitempty"`
	Manifests     []Descriptor      `json:"manifests,omitzero"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// encode writes d. The keys of maps are sorted, so that it is always the same.
func (d document) encode() []byte {
	d.SchemaVersion = 2
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers
	}
	return b
}

// decode reads a document that is to be of both types.
func decode(b []byte, most int, mediaType, artifactType, what string) (d document, err error) {
	if len(b) > most {
		return d, fmt.Errorf("%s: %d bytes, where %d are possible", what, len(b), most)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("%s: not the JSON of one: %v", what, err)
	}
	if d.MediaType != mediaType || d.ArtifactType != artifactType && !d.copied(artifactType) {
		return d, fmt.Errorf("%s: %w", what, foreign(d, artifactType))
	}
	if d.SchemaVersion != 2 {
		return d, fmt.Errorf("%s: its schemaVersion is %d, not 2", what, d.SchemaVersion)
	}
	if err := bounded(d.Annotations); err != nil {
		return d, fmt.Errorf("%s: it %w", what, err)
	}
	return d, nil
}

// copied reports whether d is a desired state whose type a tool has left out that copied it
// between registries, as skopeo 1.9 does: what it names says what it is.
func (d document) copied(artifactType string) bool {
	return artifactType == StateType && d.ArtifactType == "" && len(d.Manifests) > 0 && d.Manifests[0].Annotations[nameKey] != ""
}

// foreign says what d is in place of what was wanted.
func foreign(d document, want string) error {
	kind := d.ArtifactType
	if kind == "" && d.Config != nil && d.Config.MediaType != EmptyType {
		kind = d.Config.MediaType
	}
	if kind == "" {
		kind = d.MediaType
	}
	if newer, _, ok := strings.Cut(want, ".v1"); ok && strings.HasPrefix(kind, newer+".v") && kind != want {
		return fmt.Errorf("it is of type %.100q, which a later version of plugserver has written; install that one", kind)
	}
	return fmt.Errorf("it is of type %.100q, not %s: another tool's, or not what plugserverctl push has written", kind, want)
}

// checkName refuses what can name no handler: it is to become a file's name.
func checkName(name string) error {
	if !handlerdir.ValidName(name) {
		return fmt.Errorf("%.100q can name no handler", name)
	}
	return nil
}
