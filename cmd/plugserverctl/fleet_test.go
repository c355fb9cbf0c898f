package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

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
	// prometheus VALUE starts one, at $PROM, for which a metric has that value; metric VALUE changes it.
	var prom *testbed.Prometheus
	commands["prometheus"] = func(ts *testscript.TestScript, neg bool, args []string) {
		prom = testbed.StartPrometheus(t, args[0])
		ts.Setenv("PROM", prom.URL)
	}
	commands["metric"] = func(ts *testscript.TestScript, neg bool, args []string) { prom.Set(args[0]) }
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
	// foreign FILE makes a plugin one for another machine.
	commands["foreign"] = func(ts *testscript.TestScript, neg bool, args []string) {
		b := []byte(ts.ReadFile(args[0]))
		const machine, amd64, arm64 = 18, 62, 183 // of its ELF header
		if b[machine] == amd64 {
			b[machine] = arm64
		} else {
			b[machine] = amd64
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
	}
	testscript.Run(t, params)
}
