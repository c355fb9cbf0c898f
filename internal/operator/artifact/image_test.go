package artifact

import (
	"bytes"
	"strings"
	"testing"
)

// The bytes of an image are what they were, whatever the order of its layers.
func TestImageBytesStay(t *testing.T) {
	h := users()
	h.Plugin, h.Signature.Size = Blob(PluginType, []byte("12345")), 3
	var b bytes.Buffer
	if err := WriteLayer(&b, h, strings.NewReader("12345"), []byte("678")); err != nil {
		t.Fatal(err)
	}
	layer := Layer{h, Blob("", b.Bytes())}
	if layer.Blob.Digest != "sha256:0a1f82de68140fe70415948609acf36afd8b5b6eaa8f465f542585f780606fef" {
		t.Errorf("a layer is %s", layer.Blob.Digest)
	}
	other := Layer{Handler{Name: "bye", Platform: h.Platform}, Descriptor{Digest: digest("c"), Size: 9}}
	config, manifest := EncodeImage(h.Platform, []Layer{layer, other})
	want := `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["` + digest("c") + `","` + layer.Blob.Digest + `"]}}`
	if string(config) != want {
		t.Errorf("config: %s", config)
	}
	if s := string(manifest); strings.Contains(s, "artifactType") || strings.Index(s, digest("c")) > strings.Index(s, layer.Blob.Digest) ||
		!strings.Contains(s, `"config":{"mediaType":"`+ConfigType+`","digest":"`+Blob("", config).Digest) || strings.Count(s, LayerType) != 2 {
		t.Errorf("manifest: %s", s)
	}
	if _, again := EncodeImage(h.Platform, []Layer{other, layer}); !bytes.Equal(again, manifest) {
		t.Errorf("the other way round: %s", again)
	}
	for _, changed := range []string{"1234", "123456", "12346"} {
		if err := WriteLayer(&b, h, strings.NewReader(changed), nil); err == nil {
			t.Errorf("a file that has changed to %s is taken", changed)
		}
	}
	if IsImages(EncodeImages(map[string]Descriptor{h.Platform: Blob("", manifest)})) != nil || IsImages(entries("a/linux/amd64=1").Encode()) == nil ||
		IsImages([]byte(strings.ReplaceAll(string(entries("a/linux/amd64=1").Encode()), "artifactType", "x"))) == nil || IsImages(manifest) == nil ||
		IsImages([]byte(`{"schemaVersion":2,"mediaType":"`+IndexType+`","manifests":[{"mediaType":"`+ManifestType+`","platform":{"os":"linux","architecture":"amd64"}}]}`)) == nil {
		t.Error("an image and a state are not told apart")
	}
}
