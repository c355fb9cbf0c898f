#!/bin/sh
# go build -toolexec: compiles this module's packages as from /usr/src/plugserver,
# and the standard library's as ever. https://pkg.go.dev/cmd/go, -toolexec.
set -eu
case "${1##*/} ${TOOLEXEC_IMPORTPATH-}" in
"compile github.com/andrestc/go-plugserver/"* | "asm github.com/andrestc/go-plugserver/"*) ;;
*) exec "$@" ;;
esac
# The source folder goes first: the first match counts.
root=${PWD%/cmd/*}
root=${root%/internal/*}
for arg; do
	shift
	if [ "${previous-}" = -trimpath ]; then
		arg="$root=>/usr/src/plugserver;$arg"
	fi
	previous=$arg
	set -- "$@" "$arg"
done
exec "$@"
