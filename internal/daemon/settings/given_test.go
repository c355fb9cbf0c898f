package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
)

// Credentials come from files, from the service's own, and from what is set; a file that has changed is another
// setting, and what is secret is in no error.
func TestCredentials(t *testing.T) {
	path := layout(t, map[string]string{"plugserverd.conf": "", "token": "one", "c/own": "the service's"})
	dir := strings.TrimSuffix(path, "/plugserverd.conf")
	t.Setenv("CREDENTIALS_DIRECTORY", dir+"/c")
	const text = "[Handler a]\nLoadCredential=token:DIR/token\nLoadCredential=own\nSetCredential=x:a # b\nHoldTimeout=0\n"
	conf := func(text string) { write(t, path, strings.ReplaceAll(text, "DIR", dir)) }
	conf(text)
	was, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := belongings.Belongings{Credentials: []belongings.Credential{{Name: "own", Content: "the service's"}, {Name: "token", Content: "one"}, {Name: "x", Content: "a # b"}}}
	if got := was.Handler("a"); !got.Given.Belongings("/s").Equal(want) || got.HoldTimeout != Infinity {
		t.Errorf("it has %q, a hold of %v", got.Given.Belongings("/s"), got.HoldTimeout)
	}
	if same, err := Load(path); err != nil || same.Handler("a") != was.Handler("a") {
		t.Errorf("the same is not: %v", err)
	}
	write(t, dir+"/token", "two")
	if now, err := Load(path); err != nil || now.Handler("a") == was.Handler("a") {
		t.Errorf("another file is the same: %v", err)
	}
	conf("[Handler a]\nHoldTimeout=90s")
	if now, err := Load(path); err != nil || now.Handler("a").HoldTimeout != 90*time.Second {
		t.Errorf("a hold of %v, %v", now.Handler("a").HoldTimeout, err)
	}
	for text, want := range map[string]string{
		"SetCredential=hunter2":    "F:2: SetCredential=: not a credential",
		"LoadCredential=token:DIR": "F:2: LoadCredential=\"token:DIR\": read settings \"DIR\": not a regular file",
		"Cell=x\nLoadCredential=token:DIR/none\nSetCredential=y:hunter2": "F:3: LoadCredential=\"token:DIR/none\": there is no such file",
		"LoadCredential=none":  "F:2: LoadCredential=\"none\": the service has no credential \"none\"",
		"HoldTimeout=infinity": "F:2: HoldTimeout=\"infinity\": not a time, of a day at the most",
	} {
		conf("[Handler a]\n" + text)
		_, err := Load(path)
		if err == nil || !strings.HasPrefix(strings.NewReplacer(path, "F", dir, "DIR").Replace(err.Error()), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	conf(text)
	if _, err := Load(path); err == nil {
		t.Error("the service has what nobody has given it")
	}
	if _, err := Check(path); err != nil {
		t.Errorf("who is not the service cannot know: %v", err)
	}
}
