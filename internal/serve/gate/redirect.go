package gate

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// toHTTPS is wantsHTTPS, but for clients that a trusted proxy has served over TLS.
func (g *Gate) toHTTPS(r *http.Request) bool { return wantsHTTPS(r) && !g.proxies.Secure(r) }

// wantsHTTPS reports whether a client is to ask again over TLS, where that is wanted: one
// that came over TCP in the clear. Who comes by a Unix socket is a proxy.
func wantsHTTPS(r *http.Request) bool {
	if r.TLS != nil || strings.HasPrefix(r.URL.Path, challenges) {
		return false
	}
	_, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil
}

// redirect sends clients on to the same resource over TLS, at that port: for good, and
// with their method and body where they have another than GET and HEAD.
func redirect(port int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, ok := httpsURL(r, port)
		if !ok {
			http.Error(w, "this server is to be asked over HTTPS", http.StatusBadRequest)
			return
		}
		code := http.StatusPermanentRedirect
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			code = http.StatusMovedPermanently
		}
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, to, code)
	})
}

// httpsURL is where r's resource is over TLS, ok whether r says which it wants.
func httpsURL(r *http.Request, port int32) (to string, ok bool) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
		if strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	if host == "" || strings.ContainsAny(host, "@/\\") || r.Method == http.MethodConnect {
		return "", false
	}
	if port != 443 {
		host += ":" + strconv.Itoa(int(port))
	}
	return "https://" + host + r.URL.RequestURI(), true
}
