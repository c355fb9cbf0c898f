package live

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
	"github.com/andrestc/go-plugserver/bench/tree"
)

// peer is a server whose answers are changed while it serves.
type peer struct {
	name   string
	what   string // is changed there, and how
	few    int    // changes that are worth the wait; 0 is as many as asked for
	run    []string
	reload []string // nil is none: it looks by itself
	anew   bool     // what was loaded stays: each change is a name of its own
	file   string   // behind a name, in its path
	// put writes an answer's file, or all that a configuration has; name is "" where all are to be written.
	put func(dir string, port int, answers map[string]string, name string) error
}

const again = "told to load its configuration again"

// configured are those whose answers are made of their configuration, of which no code is loaded: that is the least that a
// change can cost there.
var configured = []peer{
	{name: "nginx", what: again, run: []string{"nginx", "-p", ".", "-c", "nginx.conf"}, reload: []string{"nginx", "-p", ".", "-c", "nginx.conf", "-s", "reload"}, put: nginx},
	{name: "caddy", what: again, run: []string{"caddy", "run", "--config", "Caddyfile"}, reload: []string{"caddy", "reload", "--config", "Caddyfile", "--address", "127.0.0.1:CONTROL"}, put: caddy},
}

func nginx(dir string, port int, answers map[string]string, _ string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "daemon off; pid nginx.pid; error_log error.log; worker_processes 2; events {}\nhttp { access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;\nserver { listen 127.0.0.1:%d;\n", port)
	for name, body := range answers {
		fmt.Fprintf(&b, "location = /%s { return 200 %q; }\n", name, body)
	}
	return os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(b.String()+"}}\n"), 0o644)
}

func caddy(dir string, port int, answers map[string]string, _ string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "{\nadmin 127.0.0.1:%d\nauto_https off\n}\nhttp://127.0.0.1:%d {\n", port+1, port)
	for name, body := range answers {
		fmt.Fprintf(&b, "respond /%s %q 200\n", name, body)
	}
	return os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(b.String()+"respond 404\n}\n"), 0o644)
}

// The folder of Debian's tomcat10-common, whose Tomcat looks for what has changed every 10 seconds.
const tomcatHome = "/usr/share/tomcat10"

var tomcatPeer = peer{
	name: "Tomcat", what: "whose autoDeploy finds a new archive of one static file", few: 5, file: "/answer", put: tomcat,
	run: []string{"java", "-cp", tomcatHome + "/bin/bootstrap.jar:" + tomcatHome + "/bin/tomcat-juli.jar", "-Dcatalina.base=.", "-Dcatalina.home=" + tomcatHome, "org.apache.catalina.startup.Bootstrap", "start"},
}

// The files of a Tomcat that scans no library: the least that it can have.
const (
	tomcatServer = `<Server port="-1"><Service name="Catalina"><Connector port="%d" address="127.0.0.1"/><Engine name="Catalina" defaultHost="localhost" startStopThreads="2">` +
		`<Host name="localhost" appBase="webapps" autoDeploy="true" startStopThreads="2"/></Engine></Service></Server>`
	tomcatContext = `<Context><JarScanner scanClassPath="false" scanBootstrapClassPath="false"/></Context>`
	tomcatWeb     = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0" metadata-complete="true"><servlet><servlet-name>default</servlet-name>` +
		`<servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class></servlet><servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping></web-app>`
	tomcatApp = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0" metadata-complete="true"/>`
)

func tomcat(dir string, port int, answers map[string]string, name string) error {
	apps := filepath.Join(dir, "webapps")
	if name != "" {
		return archive(apps, name, answers[name])
	}
	err := errors.Join(os.MkdirAll(apps, 0o755), os.MkdirAll(filepath.Join(dir, "conf"), 0o755), os.MkdirAll(filepath.Join(dir, "temp"), 0o755))
	for file, text := range map[string]string{"server.xml": fmt.Sprintf(tomcatServer, port), "context.xml": tomcatContext, "web.xml": tomcatWeb} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "conf", file), []byte(text), 0o644))
	}
	for name, body := range answers {
		err = errors.Join(err, archive(apps, name, body))
	}
	return err
}

// archive writes a web application whose answer to every path is in its one file.
func archive(apps, name, body string) error {
	temp := filepath.Join(apps, "."+name)
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for file, text := range map[string]string{"answer": body, "WEB-INF/web.xml": tomcatApp} {
		w, err := z.Create(file)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(z.Close(), os.Rename(temp, filepath.Join(apps, name+".war")))
}

// toyPeer is cmd/toy, which opens twins.
func toyPeer(path string, twins *Twins) peer {
	number := 0
	one := func(dir, name, body string) error {
		temp := filepath.Join(dir, name)
		if err := os.WriteFile(temp, twins.Make(number, name, body), 0o644); err != nil {
			return err
		}
		number++
		return os.Rename(temp, temp+".so")
	}
	return peer{
		name: "A process that polls a folder each second for plugins to open", what: "of which it can load new ones alone, no newer", few: 10, anew: true,
		run: []string{path, "127.0.0.1:PORT", "."},
		put: func(dir string, _ int, answers map[string]string, name string) (err error) {
			if name != "" {
				return one(dir, name, answers[name])
			}
			for name, body := range answers {
				err = errors.Join(err, one(dir, name, body))
			}
			return err
		},
	}
}

// RunPeers measures what a change of one answer among so many costs there, and prints.
func RunPeers(s Spec, twins *Twins) error {
	for i, p := range append([]peer{tomcatPeer, toyPeer(s.Toy, twins)}, configured...) {
		took, cpu, err := p.changes(filepath.Join(s.Dir, "peer"), s.Port+10+2*i, s.Handlers, s.Changes)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintf(s.Out, "  %-40s  %s, %s: %s, CPU %v ms/change\n", "changed, ms", p.name, p.what, figure(took), stats.Of(cpu))
		s.Page.peer(p.name, p.what, took, cpu)
	}
	return nil
}

// changes makes one after the other, and returns how long each took and its processor time, in ms.
func (p peer) changes(dir string, port, handlers, changes int) (took, cpu []float64, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "t"), 0o755); err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	answers := map[string]string{"change": "v0"}
	for n := range handlers {
		answers[nameOf(n)] = "v0"
	}
	if err := p.put(dir, port, answers, ""); err != nil {
		return nil, nil, err
	}
	cmd := command(dir, port, p.run)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	defer func() {
		tree.Hold(cmd.Process.Pid).Kill()
		cmd.Wait()
	}()
	d := &Daemon{port: port, fresh: true} // an old worker keeps its connections
	if _, err := d.until(p.path("change"), 200, "v0", time.Now()); err != nil {
		return nil, nil, err
	}
	if p.few > 0 {
		changes = min(changes, p.few)
	}
	for n := range changes {
		t, used, err := p.change(d, dir, cmd.Process.Pid, answers, n)
		if err != nil {
			return nil, nil, err
		}
		took, cpu = append(took, milliseconds(t)), append(cpu, milliseconds(used))
		time.Sleep(50 * time.Millisecond)
	}
	return took, cpu, nil
}

// change makes the n-th, and awaits it.
func (p peer) change(d *Daemon, dir string, pid int, answers map[string]string, n int) (took, cpu time.Duration, err error) {
	name, body := "change", fmt.Sprint("v", n+1)
	if p.anew {
		name = fmt.Sprint("change", n)
	}
	answers[name] = body
	before, _ := tree.CPU(tree.Of(pid))
	began := time.Now()
	if err := p.put(dir, d.port, answers, name); err != nil {
		return 0, 0, err
	}
	var own time.Duration
	if p.reload != nil {
		began = time.Now()
		reload := command(dir, d.port, p.reload)
		if out, err := reload.CombinedOutput(); err != nil {
			return 0, 0, errors.Join(err, errors.New(string(out)))
		}
		own = reload.ProcessState.UserTime() + reload.ProcessState.SystemTime()
	}
	took, err = d.until(p.path(name), 200, body, began)
	if err != nil {
		return 0, 0, err
	}
	after, err := tree.CPU(tree.Of(pid))
	return took, max(after-before, 0) + own, err // what ended workers used since is lost
}

// path is where the answer of that name is.
func (p peer) path(name string) string { return "/" + name + p.file }

// command runs a peer's program in its folder. Arguments may name the port where it listens, and the next one for its control.
func command(dir string, port int, args []string) *exec.Cmd {
	ports := strings.NewReplacer("PORT", fmt.Sprint(port), "CONTROL", fmt.Sprint(port+1))
	var all []string
	for _, a := range args {
		all = append(all, ports.Replace(a))
	}
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Dir = dir
	return cmd
}
