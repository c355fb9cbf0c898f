#!/bin/sh
# Builds the Debian package from the checkout into bin/. The result depends on
# the checkout's content, the Go release and the C compiler alone: two builds
# give the same bytes, wherever the checkout is. Where root runs it, missing
# Debian packages are installed.
#
# usage: packaging/deb/build.sh [OUTPUT-FOLDER]
set -eu
cd "$(dirname "$0")/../.."
mkdir -p "${1:-bin}"
out=$(cd "${1:-bin}" && pwd)

need="build-essential debhelper dpkg-dev fakeroot"
if ! dpkg-query -W -f '${Status}\n' $need 2>/dev/null | awk '/ installed$/ { n++ } END { exit n != 4 }'; then
	if [ "$(id -u)" != 0 ]; then
		echo "packaging/deb/build.sh: install $need first" >&2
		exit 1
	fi
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $need
fi

# debhelper gives the build a home folder of its own; the caches stay.
GOCACHE=$(go env GOCACHE)
GOMODCACHE=$(go env GOMODCACHE)
GOPROXY=$(go env GOPROXY)
export GOCACHE GOMODCACHE GOPROXY

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
source=$work/plugserver
mkdir "$source"
tar --exclude=./bin --exclude=./run --exclude=./.git --exclude=node_modules -cf - . | tar -xf - -C "$source" --no-same-owner
cp -R "$source/packaging/deb/debian" "$source/debian"
# Modes and times are the package's, not the checkout's.
chmod -R u=rwX,go=rX "$source"
find "$source" -exec touch --no-dereference --date="@$(dpkg-parsechangelog -l "$source/debian/changelog" -STimestamp)" {} +

(cd "$source" && dpkg-buildpackage -b -us -uc ${DEB_BUILD_FLAGS-}) >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	exit 1
}
for f in "$work"/plugserver_*; do
	cp "$f" "$out/"
	echo "$out/${f##*/}"
done
