package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/bench/load"
)

// behind starts compiled in and a proxy to it, which are one server then.
func (l *Lab) behind(w Work, proxy func(w Work, to string) (*Server, error)) (*Server, error) {
	upstream, err := l.program("compiled")
	if err != nil {
		return nil, err
	}
	return l.before(upstream, w, proxy)
}

// before starts a proxy to upstream; both are one server then.
func (l *Lab) before(upstream *Server, w Work, proxy func(w Work, to string) (*Server, error)) (*Server, error) {
	upstream.behind = true
	if err := upstream.ready(w); err != nil {
		upstream.Stop()
		return nil, err
	}
	s, err := proxy(w, upstream.Addr)
	if err != nil {
		upstream.Stop()
		return nil, err
	}
	s.upstream = upstream
	return s, nil
}

// front is the nginx of Work.Front. It has one worker, so that there is one
// pool of connections.
func (l *Lab) front(w Work, to string) (*Server, error) {
	return l.nginx(l.proxying(w, to, w.Front), 1)
}

func (l *Lab) nginxProxy(w Work, to string) (*Server, error) {
	return l.nginx(l.proxying(w, to, 64), 2)
}

// nginxConf has no limit on the requests of a connection, as no other peer has
// one, and no access log. All else is nginx's default.
const nginxConf = `worker_processes %d;
%s
daemon off;
pid nginx.pid;
error_log error.log;
worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
	access_log off;
	keepalive_timeout 120s;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	default_type text/plain;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
%s
}
`

// answering lets nginx answer the work's requests.
func answering(w Work) func(addr string) string {
	return func(addr string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "server {\n\tlisten %s backlog=4096;\n", addr)
		seen := make(map[string]bool)
		for _, r := range w.Spec.Requests {
			if path := load.Path(r); !seen[path] {
				fmt.Fprintf(&b, "\tlocation = %s { return 200 %q; }\n", path, r.Want)
				seen[path] = true
			}
		}
		b.WriteString("}")
		return b.String()
	}
}

// proxying lets nginx proxy, with so many pooled connections a worker.
func (l *Lab) proxying(w Work, to string, pooled int) func(addr string) string {
	speaks := ""
	if w.Spec.TLS {
		speaks = " ssl"
	}
	if w.Spec.Streams > 0 {
		speaks += " http2"
	}
	return func(addr string) string {
		return fmt.Sprintf(`upstream up { server %s; keepalive %d; keepalive_requests 1000000000; keepalive_timeout 100s; }
server {
	listen %s%s backlog=4096;
%s
	location / {
		proxy_pass http://up;
		proxy_http_version 1.1;
		proxy_set_header Host $host;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
	}
}`, to, pooled, addr, speaks, l.nginxKey(w))
	}
}

func (l *Lab) nginxKey(w Work) string {
	if !w.Spec.TLS {
		return ""
	}
	return fmt.Sprintf("\tssl_certificate %s;\n\tssl_certificate_key %s;\n\tssl_protocols TLSv1.2 TLSv1.3;", l.cert(), l.key())
}

func (l *Lab) nginx(server func(addr string) string, workers int) (*Server, error) {
	dir, err := l.folder("nginx")
	if err != nil {
		return nil, err
	}
	addr, err := l.address()
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, workers, user, server(addr)), 0o644); err != nil {
		return nil, err
	}
	return l.start(addr, "nginx", "-p", dir, "-c", conf)
}

func (l *Lab) caddy(w Work, to string) (*Server, error) {
	dir, err := l.folder("caddy")
	if err != nil {
		return nil, err
	}
	addr, err := l.address()
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(addr, ":")
	global, scheme, key := "", "http", ""
	if w.Spec.TLS {
		// Any certificate for any name, also where the client names none.
		global, scheme, key = "\tdefault_sni bench.example\n", "https", fmt.Sprintf("\ttls %s %s\n", l.cert(), l.key())
	}
	if w.clear2() {
		global = "\tservers {\n\t\tprotocols h1 h2 h2c\n\t}\n"
	}
	text := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n%s}\n%s://:%s {\n\tbind %s\n%s\treverse_proxy %s {\n"+
		"\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 64\n\t\t}\n\t}\n}\n", global, scheme, port, host, key, to)
	conf := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return l.start(addr, "env", "HOME="+dir, "caddy", "run", "--adapter", "caddyfile", "--config", conf)
}
