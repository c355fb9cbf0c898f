package artifact

import (
	"archive/tar"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Types of the parts of an image. Its layers are not compressed, so that no version of a
// compressor is in their digests.
const (
	ConfigType = "application/vnd.oci.image.config.v1+json"
	LayerType  = "application/vnd.oci.image.layer.v1.tar"
)

// MaxImage is how many handlers an image may have: each is a layer, of which not every
// runtime mounts more.
const MaxImage = 100

// A Layer is a handler of an image: its files, as WriteLayer writes them.
type Layer struct {
	Handler Handler
	Blob    Descriptor
}

// WriteLayer writes the files of a handler as they lie in a handlers directory: root's, and
// of no time. A plugin that is another than h tells of is an error, whatever its size.
func WriteLayer(w io.Writer, h Handler, plugin io.Reader, signature []byte) error {
	out := tar.NewWriter(w)
	add := func(name string, size int64) error {
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatUSTAR})
	}
	if err := add(h.Name+".so", h.Plugin.Size); err != nil {
		return err
	}
	now, err := ReadBlob(PluginType, io.TeeReader(plugin, out))
	if err != nil {
		return err
	}
	if now.Digest != h.Plugin.Digest {
		return fmt.Errorf("what is read of %s.so is %s, not %s", h.Name, now.Digest, h.Plugin.Digest)
	}
	if h.Signature != nil {
		if err := add(h.Name+".so.minisig", h.Signature.Size); err != nil {
			return err
		}
		if _, err := out.Write(signature); err != nil {
			return err
		}
	}
	return out.Close() // which tells of a plugin that is shorter
}

// config is that of an image, of which nothing is run.
type config struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	Config       struct{} `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// EncodeImage writes the config and the manifest of an image of one platform, in one order
// whatever that of layers. It says nothing of an artifact's type: by that, runtimes tell images.
func EncodeImage(platform string, layers []Layer) (conf, manifest []byte) {
	p := ParsePlatform(platform)
	c := config{Architecture: p.Architecture, OS: p.OS}
	c.RootFS.Type = "layers"
	d := document{MediaType: ManifestType}
	for _, l := range slices.SortedFunc(slices.Values(layers), func(a, b Layer) int { return cmp.Compare(a.Handler.Name, b.Handler.Name) }) {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Blob.Digest)
		l.Blob.MediaType, l.Blob.Annotations = LayerType, l.Handler.annotations()
		d.Layers = append(d.Layers, l.Blob)
	}
	conf, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings
	}
	of := Blob(ConfigType, conf)
	d.Config = &of
	return conf, d.encode()
}

// EncodeImages writes the index of images by platform, whose manifests these are.
func EncodeImages(manifests map[string]Descriptor) []byte {
	d := document{MediaType: IndexType, Manifests: []Descriptor{}, Annotations: map[string]string{imagesKey: "true"}}
	for name, m := range manifests {
		platform := ParsePlatform(name)
		d.Manifests = append(d.Manifests, Descriptor{MediaType: ManifestType, Digest: m.Digest, Size: m.Size, Platform: &platform})
	}
	slices.SortFunc(d.Manifests, func(a, b Descriptor) int { return cmp.Compare(a.Platform.String(), b.Platform.String()) })
	return d.encode()
}

// IsImages reports whether b is an index of images, as EncodeImages writes it, and else what it is.
func IsImages(b []byte) error {
	var d document
	if len(b) > MaxIndex || json.Unmarshal(b, &d) != nil {
		return errors.New("it is not the JSON of an index")
	}
	if d.MediaType != IndexType || d.ArtifactType != "" || d.copied(StateType) {
		return fmt.Errorf("it is of type %.100q", cmp.Or(d.ArtifactType, d.MediaType))
	}
	if d.Annotations[imagesKey] == "" || slices.ContainsFunc(d.Manifests, func(m Descriptor) bool { return m.Platform == nil }) {
		return errors.New("it is an index of somebody else's")
	}
	return nil
}
