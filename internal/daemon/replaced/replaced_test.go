package replaced

import (
	"os"
	"slices"
	"testing"
)

func TestIn(t *testing.T) {
	const maps = `00400000-00fae000 r-xp 00000000 fe:00 131 /usr/lib/plugserver/plugserver-cell (deleted)
7f00-7f01 r--p 00000000 fe:00 7 /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)
7f01-7f02 r-xp 00028000 fe:00 7 /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)
7f02-7f03 r-xp 00028000 fe:00 7 /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)
7f03-7f04 r--p 00028000 fe:00 8 /usr/lib/libdata.so.1 (deleted)
7f04-7f05 r-xp 00000000 fe:00 9 /usr/lib/libm.so.6
7f05-7f06 r-xp 00000000 fe:00 10 /opt/a b/libssl.so (deleted)
7f06-7f07 rw-s 00000000 00:01 11 /memfd:counts (deleted)
7f07-7f08 r-xp 00000000 00:00 0 [vdso]
7f08-7f09 rw-p 00000000 00:00 0
torn (deleted)
`
	if got, want := in(maps), []string{"libc.so.6", "libssl.so"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Of(os.Getpid()); got != nil {
		t.Errorf("we run with %q", got)
	}
	if got := Of(-1); got != nil {
		t.Errorf("nobody runs with %q", got)
	}
}
