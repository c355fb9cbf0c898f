package http1_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// html writes enough to leave the body's buffer, in one piece.
var html = write(3000)

// programs are what handlers do to their ResponseWriter. Names with "copy"
// use ReadFrom.
var programs = map[string][]step{
	// Bodies, and where they leave the buffer.
	"nothing":                        {},
	"hello":                          {write(5)},
	"empty write":                    {writeBytes(nil)},
	"empty string":                   {writeString(0)},
	"string":                         {writeString(5)},
	"long string":                    {writeString(10_000)},
	"string behind bytes":            {write(100), writeString(5000)},
	"bytes behind string":            {writeString(100), write(5000)},
	"511":                            {write(511)},
	"512":                            {write(512)},
	"2047":                           {write(2047)},
	"2048":                           {write(2048)},
	"2049":                           {write(2049)},
	"2048 and 1":                     {write(2048), write(1)},
	"2047 and 1":                     {write(2047), write(1)},
	"2047 and 2":                     {write(2047), write(2)},
	"1 and 2048":                     {write(1), write(2048)},
	"1 and 4096":                     {write(1), write(4096)},
	"4096":                           {write(4096)},
	"10k":                            {write(10 << 10)},
	"100k":                           {write(100_000)},
	"100k twice":                     {write(100_000), write(100_000)},
	"pieces":                         {write(700), write(700), write(700), write(700), write(700), write(700), write(700)},
	"16k, about what is copied":      {write(16<<10 - 200), write(16<<10 - 100), write(16 << 10)},
	"binary":                         {writeBytes([]byte("\x00\x01\x02"))},
	"gif":                            {writeBytes([]byte("GIF89a...")), write(10)},
	"sniffs no more than one write":  {writeBytes([]byte("<")), writeBytes([]byte("html>"))},
	"sniffs the first of the pieces": {writeBytes([]byte("<")), flush, writeBytes([]byte("html>"))},
	"fprintf":                        {func(x *run) { fmt.Fprintf(x.w, "Hello, %q\n", "you") }},

	// Statuses.
	"201":                      {status(201), write(5)},
	"204":                      {status(204)},
	"204 with a body":          {status(204), write(5)},
	"204 with a length":        {set("Content-Length", "5"), status(204), write(5)},
	"204 with all":             {set("Content-Length", "5"), set("Content-Type", "a/b"), set("Transfer-Encoding", "chunked"), status(204)},
	"304":                      {status(304)},
	"304 with all":             {set("Content-Length", "5"), set("Content-Type", "a/b"), set("Etag", `"1"`), status(304), write(5)},
	"304 with an empty write":  {status(304), writeBytes(nil), flush},
	"404":                      {func(x *run) { http.NotFound(x.w, x.r) }},
	"error":                    {set("Content-Length", "3"), func(x *run) { http.Error(x.w, "no", http.StatusServiceUnavailable) }},
	"redirect":                 {func(x *run) { http.Redirect(x.w, x.r, "/elsewhere", http.StatusFound) }},
	"599":                      {status(599)},
	"999":                      {status(999), write(5)},
	"418":                      {status(418), flush, write(5)},
	"no status":                {status(0), write(5)},
	"99":                       {status(99)},
	"1000":                     {status(1000)},
	"-1":                       {status(-1), status(200)},
	"twice":                    {status(200), status(500), write(5)},
	"status behind the body":   {write(5), status(500)},
	"status behind the flush":  {flush, status(500)},
	"error behind the body":    {write(5), func(x *run) { http.Error(x.w, "no", 500) }},
	"100":                      {status(100), write(5)},
	"102":                      {set("X-A", "1"), status(102), status(102), status(200), write(5)},
	"103":                      {add("Link", "</a>"), add("Link", "</b>"), status(103), del("Link"), write(5)},
	"103 with framing":         {set("Content-Length", "5"), set("Transfer-Encoding", "x"), set("Trailer", "X-A"), set("Date", "d"), status(103), write(5)},
	"103 and nothing":          {status(103)},
	"103 with bad fields":      {raw("bad name", "1"), raw("A", "b\r\nc"), raw(http.TrailerPrefix+"T", "1"), status(103)},
	"150":                      {status(150), write(5)},
	"101":                      {set("Connection", "Upgrade"), set("Upgrade", "x"), status(101)},
	"101 with blanks":          {set("Connection", "a ,\tupgrade "), set("Upgrade", "x"), status(101), write(5)},
	"101 without Upgrade":      {status(101), write(5)},
	"101 without Connection":   {set("Upgrade", "x"), status(101), flush},
	"101 that closes":          {set("Upgrade", "x"), add("Connection", "close"), add("Connection", "Upgrade"), status(101)},
	"101 with a length":        {set("Content-Length", "5"), set("Connection", "Upgrade"), set("Upgrade", "x"), status(101), write(5)},
	"200 behind 101":           {status(101), status(200), write(5)},
	"informational behind 200": {status(200), status(103), write(5)},

	// Content-Length.
	"length":                     {set("Content-Length", "5"), write(5)},
	"length, late":               {write(5), set("Content-Length", "5")},
	"length behind status":       {status(200), set("Content-Length", "5"), write(5)},
	"length, too short a body":   {set("Content-Length", "10"), write(5)},
	"length, too long a body":    {set("Content-Length", "3"), write(5)},
	"length, too long in pieces": {set("Content-Length", "7"), write(5), write(5), write(1)},
	"length, no body":            {set("Content-Length", "5")},
	"length 0":                   {set("Content-Length", "0")},
	"length 0 with a body":       {set("Content-Length", "0"), write(5)},
	"length of nothing":          {set("Content-Length", ""), write(5)},
	"length nil":                 {raw("Content-Length"), write(5)},
	"length nil, nothing":        {raw("Content-Length")},
	"length invalid":             {set("Content-Length", "abc"), write(5), showHeader},
	"length invalid, nothing":    {set("Content-Length", "abc"), showHeader},
	"length invalid, no content": {set("Content-Length", "-1"), status(204)},
	"length with blanks":         {set("Content-Length", " 5"), write(5)},
	"length with a sign":         {set("Content-Length", "+5"), write(5)},
	"length twice":               {add("Content-Length", "5"), add("Content-Length", "6"), write(5)},
	"length, large":              {set("Content-Length", "10240"), write(10 << 10)},
	"length, larger":             {set("Content-Length", "100000"), write(100_000)},
	"length, flushed":            {set("Content-Length", "10"), write(5), flush, write(5)},
	"length, not canonical":      {raw("content-length", "5"), write(5)},
	"length, 4096 together":      {set("Content-Length", "4000"), raw("Date"), raw("Content-Type", strings.Repeat("a", 38)), write(4000)},

	// Content-Type.
	"type":                           {set("Content-Type", "a/b"), write(5)},
	"type nil":                       {raw("Content-Type"), write(5)},
	"type empty":                     {set("Content-Type", ""), write(5)},
	"type of nothing":                {set("Content-Type", "a/b")},
	"type of an encoded body":        {set("Content-Encoding", "gzip"), write(5)},
	"type of a body encoded not":     {set("Content-Encoding", ""), write(5)},
	"type of a body encoded nil":     {raw("Content-Encoding"), write(5)},
	"type of a transfer-encoded one": {set("Transfer-Encoding", "identity"), write(5)},
	"type, late":                     {write(5), set("Content-Type", "a/b"), html},

	// Transfer-Encoding.
	"chunked":              {set("Transfer-Encoding", "chunked"), write(5)},
	"chunked, nothing":     {set("Transfer-Encoding", "chunked")},
	"chunked and a length": {set("Transfer-Encoding", "chunked"), set("Content-Length", "5"), write(5), write(1)},
	"identity":             {set("Transfer-Encoding", "identity"), write(5)},
	"identity and length":  {set("Transfer-Encoding", "identity"), set("Content-Length", "5"), write(5)},
	"gzip":                 {set("Transfer-Encoding", "gzip"), write(5)},
	"gzip, chunked":        {add("Transfer-Encoding", "gzip"), add("Transfer-Encoding", "chunked"), html},
	"encoding twice":       {add("Transfer-Encoding", "chunked"), add("Transfer-Encoding", "gzip"), html},
	"encoding of nothing":  {set("Transfer-Encoding", ""), write(5)},
	"encoding nil":         {raw("Transfer-Encoding"), html},
	"encoding and a 204":   {set("Transfer-Encoding", "gzip"), set("Content-Length", "5"), status(204)},

	// Connection.
	"close":                    {set("Connection", "close"), write(5)},
	"close in capitals":        {set("Connection", "Close"), write(5)},
	"close among others":       {set("Connection", "x, close"), write(5)},
	"close, twice":             {add("Connection", "x"), add("Connection", "close"), write(5)},
	"keep-alive":               {set("Connection", "keep-alive"), write(5)},
	"keep-alive and length":    {set("Connection", "keep-alive"), set("Content-Length", "5"), write(5)},
	"keep-alive, chunked":      {set("Connection", "keep-alive"), html},
	"keep-alive, empty length": {set("Connection", "keep-alive"), set("Content-Length", "0")},
	"connection nil":           {raw("Connection"), write(5)},
	"connection, late":         {write(5), set("Connection", "close")},
	"connection, in lower":     {raw("connection", "close"), write(5)},

	// Date and other fields.
	"date":                {set("Date", "today"), write(5)},
	"date nil":            {raw("Date"), write(5)},
	"date empty":          {set("Date", ""), write(5)},
	"date in lower":       {raw("date", "today"), write(5)},
	"server":              {set("Server", "s"), set("Via", "1.1 v"), set("Age", "1"), write(5)},
	"order":               {raw("b", "1"), raw("B", "2"), raw("A", "3"), raw("_", "4"), raw("z", "5"), raw("Zz", "6"), raw("C-D", "7"), raw("C", "8"), raw("E", "9"), raw("F", "10"), raw("G", "11"), raw("H", "12"), raw("I", "13"), raw("J", "14"), write(5)},
	"cookies":             {add("Set-Cookie", "a=1"), add("Set-Cookie", "b=2"), add("Set-Cookie", "a=3"), write(5)},
	"value of lines":      {set("X-A", "a\r\nX-B: c\r\n\r\nbody"), write(5)},
	"value with blanks":   {set("X-A", "\t a \n"), set("X-B", " \r\n "), write(5)},
	"value of any bytes":  {set("X-A", "\x00\x7f\xff€"), write(5)},
	"names":               {raw("", "1"), raw("a b", "1"), raw("a:b", "1"), raw("a\r\nb", "1"), raw("€", "1"), raw("a/b", "1"), raw("!#$%&'*+-.^_`|~09azAZ", "1"), write(5)},
	"large header":        {set("X-A", strings.Repeat("a", 5000)), write(5)},
	"huge header":         {set("X-A", strings.Repeat("a", 70_000)), write(5), html},
	"changed behind":      {set("X-A", "1"), status(200), set("X-A", "2"), add("X-B", "3"), showHeader, write(5)},
	"changed in place":    {set("X-A", "1"), status(200), func(x *run) { x.w.Header()["X-A"][0] = "2" }, write(5)},
	"first used behind":   {status(200), set("X-A", "1"), write(5)},
	"used but not set":    {showHeader, status(200), set("X-A", "1"), write(5)},
	"changed after flush": {set("X-A", "1"), flush, set("X-A", "2"), write(5), showHeader},
	"deleted behind":      {set("X-A", "1"), set("Content-Type", "a/b"), write(5), del("X-A"), del("Content-Type")},

	// Trailers.
	"trailer":                  {set("Trailer", "X-T"), write(5), set("X-T", "1")},
	"trailer, flushed":         {set("Trailer", "X-T"), write(5), flush, set("X-T", "1")},
	"trailer of nothing":       {set("Trailer", "X-T"), set("X-T", "1")},
	"trailer never set":        {set("Trailer", "X-T"), write(5)},
	"trailers":                 {add("Trailer", "X-B, x-a"), add("Trailer", ",X-C ,, "), html, set("X-A", "1"), add("X-B", "2"), add("X-B", "3"), raw("X-C")},
	"trailer twice":            {set("Trailer", "X-T, X-T"), html, set("X-T", "1")},
	"trailer forbidden":        {set("Trailer", "Content-Length, If-Match, Date, Host, X-T, Set-Cookie"), html, set("Content-Length", "1"), set("If-Match", "1"), set("Date", "1"), set("Host", "1"), set("Set-Cookie", "1")},
	"trailer empty":            {set("Trailer", ""), write(5)},
	"trailer nil":              {raw("Trailer"), write(5)},
	"trailer and length":       {set("Trailer", "X-T"), set("Content-Length", "5"), write(5), set("X-T", "1")},
	"trailer prefix":           {write(5), flush, raw(http.TrailerPrefix+"x-t", "1", "2")},
	"trailer prefix before":    {raw(http.TrailerPrefix+"X-T", "1"), write(5)},
	"trailer prefix unflushed": {write(5), raw(http.TrailerPrefix+"X-T", "1")},
	"trailer prefix, no name":  {flush, raw(http.TrailerPrefix, "1")},
	"trailer prefix, bad":      {flush, raw(http.TrailerPrefix+"a b", "1"), raw(http.TrailerPrefix+"A", "1\r\n2")},
	"trailer both ways":        {set("Trailer", "X-T"), flush, set("X-T", "1"), raw(http.TrailerPrefix+"X-T", "2")},
	"trailer with a 204":       {set("Trailer", "X-T"), status(204), set("X-T", "1")},

	// Flushes.
	"flush":               {flush},
	"flush, error":        {flushError, write(5), flushError},
	"flush before":        {flush, write(5)},
	"flush behind":        {write(5), flush},
	"flush between":       {write(5), flush, write(5), flush, flush, write(5)},
	"flush behind status": {status(404), flush},
	"flush of a length":   {set("Content-Length", "5"), flush, write(5)},
	"flush of a 204":      {status(204), flush, write(5)},

	// Copies.
	"copy small":               {copyFrom(0, 100, true)},
	"copy 512":                 {copyFrom(0, 512, true)},
	"copy 513":                 {copyFrom(0, 513, true)},
	"copy 100k":                {copyFrom(0, 100_000, true)},
	"copy nothing":             {copyFrom(0, 0, true)},
	"copy a file":              {copyFrom(5, 10_000, false)},
	"copy a file, length":      {set("Content-Length", "10000"), copyFrom(5, 10_000, true)},
	"copy a file, too short":   {set("Content-Length", "20000"), copyFrom(5, 10_000, true)},
	"copy a file, too long":    {set("Content-Length", "5000"), copyFrom(5, 10_000, true)},
	"copy a file, identity":    {set("Transfer-Encoding", "identity"), copyFrom(5, 100_000, true)},
	"copy a part, length":      {set("Content-Length", "10000"), copyFrom(6, 10_000, false)},
	"copy a part, 204":         {status(204), copyFrom(6, 10_000, false)},
	"copy to a started answer": {write(5), copyFrom(6, 10_000, true), write(5)},
	"copy to a flushed answer": {set("Content-Length", "10010"), write(5), flush, copyFrom(6, 10_000, true), write(5)},
	"copy halves":              {set("Content-Length", "5000"), copyFrom(2, 5000, true)},
	"copy a failing source":    {set("Content-Length", "5000"), copyFrom(4, 4000, true), write(5)},
	"copy a failing beginning": {copyFrom(4, 100, true), write(5)},
	"copy a failing chunk":     {copyFrom(4, 4000, true)},
	"copy bytes":               {copyFrom(1, 5000, false)},
	"copy a panicking source": {set("Content-Length", "512"), func(x *run) {
		x.w.(io.ReaderFrom).ReadFrom(io.MultiReader(bytes.NewReader(text(512)), panicking{}))
	}},
	"copy twice":             {copyFrom(0, 700, true), copyFrom(0, 700, true)},
	"copy 304":               {status(304), copyFrom(0, 700, true)},
	"copy behind the hijack": {hijack, copyFrom(0, 700, true)},
	"copy behind both":       {flush, hijack, copyFrom(0, 700, true)},

	// The connection.
	"hijack":              {hijack},
	"hijack begun":        {set("X-A", "1"), status(202), hijack},
	"hijack with a body":  {write(5), hijack},
	"hijack large":        {write(5000), hijack},
	"hijack flushed":      {write(5), flush, hijack},
	"hijack behind 103":   {status(103), hijack},
	"hijack 101":          {set("Connection", "Upgrade"), set("Upgrade", "x"), status(101), hijack},
	"hijack twice":        {hijack, hijack},
	"hijack, write":       {hijack, write(5), writeBytes(nil), writeString(5), writeString(0)},
	"hijack, status":      {hijack, status(200), status(0)},
	"hijack, flush":       {hijack, flush},
	"hijack, begun flush": {write(5), hijack, flushError, status(200)},
	"hijack, header":      {set("X-A", "1"), hijack, showHeader, set("X-A", "2"), showHeader},
	"hijack, controls":    {hijack, controls, closeNotify},
	"hijack, abort":       {hijack, abort},
	"hijack, timed out":   {timedOut, hijack},
	"timed out":           {timedOut, write(5), flushError, write(5), write(3000), writeString(5), flushError, status(200)},
	"timed out, unseen":   {timedOut, write(5)},
	"controls":            {controls, write(5)},
	"close notify":        {closeNotify, write(5), closeNotify},

	// Panics.
	"abort":               {abort},
	"abort with a body":   {write(5), abort},
	"abort with a chunk":  {write(3000), abort},
	"abort with chunks":   {write(3000), write(100), write(10_000), write(5), abort},
	"abort with a status": {status(200), abort},
	"abort flushed":       {write(5), flush, write(5), abort},
	"abort behind 103":    {status(103), abort},

	// A method changed under way.
	"GET to HEAD":  {write(5), method("HEAD")},
	"HEAD to GET":  {method("GET"), write(5)},
	"HEAD, at end": {write(3000), method("GET"), write(3000)},

	// The library's own handlers.
	"serve content, copy": {func(x *run) {
		http.ServeContent(x.w, x.r, "a.txt", time.Unix(1e9, 0), strings.NewReader("some content"))
	}},
	"serve file, copy": {func(x *run) { http.ServeFile(x.w, x.r, testFile) }},
	"a range, copy": {func(x *run) {
		x.r.Header.Set("Range", "bytes=10-2000")
		http.ServeContent(x.w, x.r, "", time.Time{}, bytes.NewReader(text(10_000)))
	}},
	"ranges, copy": {func(x *run) {
		x.r.Header.Set("Range", "bytes=10-19999")
		http.ServeFile(x.w, x.r, testFile)
	}},
	"timeout handler": {func(x *run) {
		http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "in time") }), time.Minute, "").ServeHTTP(x.w, x.r)
	}},
	"reverse proxy": {func(x *run) {
		p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "h"})
		p.Transport = upstream{}
		p.ServeHTTP(x.w, x.r)
	}},
	"max bytes": {func(x *run) {
		r := http.MaxBytesReader(x.w, x.r.Body, 0)
		n, err := io.Copy(x.w, r)
		x.seen.note("copy: %d %v", n, err)
	}, write(5)},
	"body": {func(x *run) {
		b, err := io.ReadAll(x.r.Body)
		x.seen.note("body: %d %v, the same: %v", len(b), err, x.r.Body == http.NoBody)
	}},
	"interfaces": {func(x *run) {
		_, pusher := x.w.(http.Pusher)
		_, unwraps := x.w.(interface{ Unwrap() http.ResponseWriter })
		_, closes := x.w.(io.Closer)
		_, seeks := x.w.(io.Seeker)
		_, bytewise := x.w.(io.ByteWriter)
		_, stringer := x.w.(fmt.Stringer)
		x.seen.note("offers %v %v %v %v %v %v", pusher, unwraps, closes, seeks, bytewise, stringer)
	}},
}
