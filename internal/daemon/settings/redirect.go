package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/ini"
)

// Redirect is what [Redirect] says; the zero value says nothing.
type Redirect struct {
	HTTPS bool // requests in the clear are sent on to HTTPS
	Port  int  // where clients find HTTPS; 0 is the port of the first socket for TLS
	HSTS  string
}

// Redirect is what [Redirect] says.
func (s *Settings) Redirect() Redirect { return s.redirect }

func (s *Settings) redirectKeys() keys {
	r := &s.redirect
	return keys{"HTTPS": set(&r.HTTPS, ini.Bool), "Port": set(&r.Port, parsePort), "HSTS": set(&r.HSTS, parseHSTS)}
}

func parseSwitch(s string) (Switch, error) {
	yes, err := ini.Bool(s)
	if yes {
		return Yes, err
	}
	return No, err
}

func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, errors.New("not a port; write a number from 1 to 65535")
	}
	return n, nil
}

// hstsWords are what may follow the seconds, as RFC 6797 and browsers write them.
var hstsWords = []string{"includeSubDomains", "preload"}

// parseHSTS makes the value of Strict-Transport-Security of one such as
// "31536000 includeSubDomains".
func parseHSTS(s string) (string, error) {
	words := strings.Fields(s)
	n, err := strconv.ParseUint(words[0], 10, 31)
	if err != nil {
		return "", errors.New("not a number of seconds; write one such as 31536000, or 31536000 includeSubDomains")
	}
	value := fmt.Sprintf("max-age=%d", n)
	for _, word := range words[1:] {
		i := slices.IndexFunc(hstsWords, func(w string) bool { return strings.EqualFold(w, word) })
		if i < 0 {
			return "", fmt.Errorf("%.40q is not known; behind the seconds may stand %s", word, strings.Join(hstsWords, " and "))
		}
		value += "; " + hstsWords[i]
	}
	return value, nil
}
