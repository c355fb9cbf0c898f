package tlskeys

import (
	"crypto/tls"
	"encoding/hex"
	"testing"
)

// Keys are those of RFC 8448, section 3 (simple 1-RTT handshake).
func TestVectors(t *testing.T) {
	secret, _ := hex.DecodeString("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
	s := SuiteOf(tls.TLS_AES_128_GCM_SHA256)
	for label, want := range map[string]string{"key": "9f02283b6c9c07efc26bb9f2ac92e356", "iv": "cf782b88dd83549aadf1e984"} {
		if got := hex.EncodeToString(s.expand(secret, label, len(want)/2)); got != want {
			t.Errorf("%s: %s, want %s", label, got, want)
		}
	}
}

// What stands behind the handshake is not read by who shakes hands, however it comes.
func TestARecordAtATime(t *testing.T) {
	records := "\x16\x03\x01\x00\x03one" + "\x14\x03\x03\x00\x00" + "\x17\x03\x03\x00\x04four" + "\x17\x03"
	ends := []int{8, 13, 22, 24}
	for size := 1; size < len(records); size++ {
		h := new(Handshake)
		for at := 0; at < len(records); {
			piece := records[at:min(at+size, len(records))]
			n := h.within([]byte(piece))
			end := 0
			for _, e := range ends {
				if e > at {
					end = e
					break
				}
			}
			if want := min(len(piece), end-at); n != want {
				t.Fatalf("pieces of %d, at %d: %d bytes, want %d", size, at, n, want)
			}
			at += n
		}
	}
}
