package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/publish"
	"github.com/andrestc/go-plugserver/internal/operator/rings"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// What is done with a registry, with a real one.
func TestFleetScripts(t *testing.T) {
	testbed.NeedRegistry(t)
	testbed.Need(t, "there is nothing to make keys with: apt-get install minisign", "minisign")
	testbed.Need(t, "there is nothing to ask for conditions: apt-get install prometheus", "prometheus")
	params := scripts(t, "testdata/fleet")
	commands := params.Cmds
	// registry starts one, at $REG.
	commands["registry"] = func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Setenv("REG", testbed.StartRegistry(t, false).Addr)
	}
	// prometheus VALUE starts one, at $PROM, for which a metric has that value; metric VALUE changes it,
	// and asked QUERY waits until it has answered that.
	var prom *testbed.Prometheus
	commands["prometheus"] = func(ts *testscript.TestScript, neg bool, args []string) {
		prom = testbed.StartPrometheus(t, args[0])
		ts.Setenv("PROM", prom.URL)
	}
	commands["metric"] = func(ts *testscript.TestScript, neg bool, args []string) { prom.Set(args[0]) }
	commands["asked"] = func(ts *testscript.TestScript, neg bool, args []string) { prom.Asked(args[0]) }
	// back REPOSITORY HISTORY promotes what a tag named before, by what fleet history --json told.
	commands["back"] = func(ts *testscript.TestScript, neg bool, args []string) {
		var h rings.NamedHistory
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &h))
		ts.Check(ts.Exec("plugserverctl", "promote", args[0]+"@"+h.Records[0].Previous, h.Ref))
	}
	// manifest REPOSITORY PUSHED prints the manifest of the first handler that push --json told of.
	commands["manifest"] = func(ts *testscript.TestScript, neg bool, args []string) {
		var p publish.Pushed
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &p))
		ts.Check(ts.Exec("skopeo", "inspect", "--tls-verify=false", "--raw", "docker://"+args[0]+"@"+p.Handlers[0].Digest))
	}
	// layers LAYOUT lists the files in the layers of an image, as an OCI layout has it.
	commands["layers"] = func(ts *testscript.TestScript, neg bool, args []string) { listLayers(ts, args[0]) }
	// foreign FILE makes a plugin one for another machine, of the platform $FOREIGN.
	commands["foreign"] = func(ts *testscript.TestScript, neg bool, args []string) {
		b := []byte(ts.ReadFile(args[0]))
		const machine, amd64, arm64 = 18, 62, 183 // of its ELF header
		if b[machine] == amd64 {
			b[machine] = arm64
			ts.Setenv("FOREIGN", "linux/arm64")
		} else {
			b[machine] = amd64
			ts.Setenv("FOREIGN", "linux/amd64")
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
	}
	testscript.Run(t, params)
}

// listLayers tells of each file whose it is, and of when, as tar(1) does.
func listLayers(ts *testscript.TestScript, layout string) {
	blobs := ts.MkAbs(layout) + "/blobs/sha256/"
	var index, manifest struct{ Manifests, Layers []struct{ Digest string } }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(layout+"/index.json")), &index))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(blobs+strings.TrimPrefix(index.Manifests[0].Digest, "sha256:"))), &manifest))
	for _, l := range manifest.Layers {
		files := tar.NewReader(strings.NewReader(ts.ReadFile(blobs + strings.TrimPrefix(l.Digest, "sha256:"))))
		for {
			h, err := files.Next()
			if err == io.EOF {
				break
			}
			ts.Check(err)
			fmt.Fprintf(ts.Stdout(), "%s %d/%d %d %s %s\n", h.FileInfo().Mode(), h.Uid, h.Gid, h.Size, h.ModTime.UTC().Format(time.RFC3339), h.Name)
		}
	}
}

// command is one of plugserverctl's in a script, with the lines that go on.
var command = regexp.MustCompile(`(?m)^[ -]*plugserverctl (?:.*\\\n)*.*$`)

// The pipelines among the examples call commands that there are, with flags that they have, and ask
// Prometheus in its language.
func TestPipelines(t *testing.T) {
	testbed.Need(t, "there is no promtool: apt-get install prometheus", "promtool")
	for _, name := range []string{"github-actions.yml", "gitlab-ci.yml"} {
		text, err := os.ReadFile("../../packaging/fleet/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var called []string
		rules := "groups:\n- name: pipeline\n  rules:\n"
		for _, line := range command.FindAllString(string(text), -1) {
			words := strings.Fields(line[strings.Index(line, "plugserverctl"):])
			at := slices.IndexFunc(commands(), func(c *cli.Command) bool { return c.Name == words[1] })
			if at < 0 {
				t.Errorf("%s: there is no %s", name, words[1])
				continue
			}
			called = append(called, words[1])
			flags := flag.NewFlagSet(words[1], flag.ContinueOnError)
			commands()[at].Declare(flags)
			for _, m := range regexp.MustCompile(` --?([a-z-]+)`).FindAllStringSubmatch(strings.Join(words[1:], " "), -1) {
				if flags.Lookup(m[1]) == nil {
					t.Errorf("%s: %s has no --%s", name, words[1], m[1])
				}
			}
			for _, m := range regexp.MustCompile(`--if '([^']*)'`).FindAllStringSubmatch(line, -1) {
				rules += fmt.Sprintf("  - alert: pipeline\n    expr: %q\n", m[1])
			}
		}
		if want := []string{"build", "check", "sign", "push", "promote"}; !slices.Equal(called, want) {
			t.Errorf("%s calls %q, want %q", name, called, want)
		}
		file := filepath.Join(t.TempDir(), "rules.yml")
		if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("promtool", "check", "rules", "--lint=none", file).CombinedOutput(); err != nil || strings.Count(rules, "alert:") != 3 {
			t.Errorf("%s: %v\n%s%s", name, err, rules, said)
		}
	}
}

// gates says when the conditions of a promotion hold that is documented, for three canaries.
const gates = `rule_files: []
evaluation_interval: 1m
tests:
{{- range $what, $b := .Boxes }}
  - interval: 1m
    name: {{ $what }}
    input_series:
{{- range $b }}
      - {series: 'up{job="plugserver",ring="canary",instance="{{ .Name }}"}', values: '{{ .Up }}x30'}
{{- if eq .Up 1 }}
      - {series: 'plugserver_up{job="plugserver",ring="canary",instance="{{ .Name }}"}', values: '1x30'}
      - {series: 'plugserver_sync_info{job="plugserver",ring="canary",instance="{{ .Name }}",digest="sha256:1"}', values: '1x30'}
      - {series: 'plugserver_sync_last_attempt_timestamp_seconds{job="plugserver",ring="canary",instance="{{ .Name }}"}', values: '1000+60x30'}
      - {series: 'plugserver_sync_last_success_timestamp_seconds{job="plugserver",ring="canary",instance="{{ .Name }}"}', values: '{{ .Agreed }}x30'}
      - {series: 'plugserver_requests_total{job="plugserver",ring="canary",instance="{{ .Name }}",code="2xx"}', values: '0+100x30'}
{{- end }}
{{- end }}
    promql_expr_test:
      - {expr: {{ printf "%q" $.Gate }}, eval_time: 20m, exp_samples: [{{ if eq $what "well" }}{labels: '{}', value: 1}{{ end }}]}
{{- end }}
`

// The conditions of promotions that are documented do not hold where canaries have refused a release, or one of them is away.
func TestGates(t *testing.T) {
	testbed.Need(t, "there is no promtool: apt-get install prometheus", "promtool")
	type box struct {
		Name   string
		Up     int
		Agreed string
	}
	three := func(last box) []box { return []box{{"a", 1, "1000+60"}, {"b", 1, "1000+60"}, last} }
	boxes := map[string][]box{"well": three(box{"c", 1, "1000+60"}), "refused by one": three(box{"c", 1, "0"}), "one is down": three(box{"c", 0, ""})}
	tests := template.Must(template.New("").Parse(gates))
	for _, name := range []string{"README.md", "packaging/deb/man/plugserverctl.1", "packaging/fleet/github-actions.yml", "packaging/fleet/gitlab-ci.yml"} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		gate := "vector(1)"
		for _, m := range regexp.MustCompile(`--if '([^']*)'`).FindAllStringSubmatch(string(text), -1) {
			gate += " and on() (" + strings.ReplaceAll(m[1], "$DIGEST", "sha256:1") + ")"
		}
		file := filepath.Join(t.TempDir(), "test.yml")
		f, err := os.Create(file)
		if err == nil {
			err = errors.Join(tests.Execute(f, map[string]any{"Boxes": boxes, "Gate": gate}), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}
