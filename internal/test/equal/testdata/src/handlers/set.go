package handlers

import (
	"bytes"
	"io"
	"net/http"
)

// Set returns the handlers of one file: the same below /x/ for each x, and its
// share of the patterns that the files have in common.
func Set(x string) map[string]http.HandlerFunc {
	h := map[string]http.HandlerFunc{
		"echo": echo, "head": headOnly, "nothing": quietly,
		"half": half, "closebody": closeBody, "early": early, "duplex": duplex, "max": limited,
		"readlimit": readLimit, "writelimit": writeLimit, "pastlimit": pastLimit, "slowread": slowRead, "late": late,
		"stream": stream, "flush": flushOnly, "big": big, "declared": declared, "status": status, "fields": fields,
		"trailers": trailers, "informs": informs, "panic": panics, "file": file, "offers": offers, "afterwards": afterwards,
		"hijack": hijack, "raw": raw, "passon": passOn, "socket": socket,
		"waits": waits, "odd": odd, "notified": notified, "leaving": leaving, "floods": floods,
	}
	set := make(map[string]http.HandlerFunc)
	for name, f := range h {
		set["/"+x+"/"+name] = f
	}
	set["/"+x+"/tree/"] = echo
	set["/"+x+"/exact/{$}"] = echo
	set["/"+x+"/id/{id}"] = echo
	set["/"+x+"/rest/{rest...}"] = echo
	set["GET /"+x+"/get"] = echo
	set["POST /"+x+"/post"] = echo
	set["CONNECT /"+x+"/connect"] = echo
	set["odd /"+x+"/odd"] = echo
	set[x+".example/host"] = echo
	for pattern, f := range map[string]map[string]http.HandlerFunc{
		"a": {
			"GET /m/one": named("a"), "/m/tree/": named("a"), "GET /m/by/{id}": named("a"), "/m/sub/": named("a"),
			"POST /m/three": named("a"), "a.example/m/hosts": named("a"), "GET /m/deep/": named("a"),
		},
		"b": {
			"POST /m/one": named("b"), "/m/tree/deep/{id}": named("b"), "PUT /m/by/{id}": named("b"), "/m/sub": named("b"),
			"PUT /m/three": named("b"), "b.example/m/hosts": named("b"), "POST /m/deep/er": named("b"),
		},
		"c": {
			"DELETE /m/one": named("c"), "GET /m/tree/deep/{id}": named("c"), "GET /m/by/fixed": named("c"),
			"/m/hosts": named("c"), "GET /m/deep/er/{$}": named("c"),
		},
	}[x] {
		set[pattern] = f
	}
	return set
}

// named reports, and who it is.
func named(x string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		head(&b, r)
		body(&b, r, -1)
		io.WriteString(w, "handler "+x+"\n"+b.String()+end)
	}
}
