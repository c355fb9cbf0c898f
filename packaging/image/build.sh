#!/bin/sh
# Builds a container image out of the Debian package and a minimal Debian, into
# bin/ as an OCI archive, which podman, skopeo, ctr and docker load. Root is not
# needed, nor a container engine. The same package on the same Debian packages
# gives the same bytes. Where root runs it, missing Debian packages are installed.
#
# usage: packaging/image/build.sh PACKAGE.deb [OUTPUT-FOLDER]
#        packaging/image/build.sh --base FILE.tar    only the Debian below it
#
# SUITE=trixie     the Debian that is below
# INCLUDE=a,b      further packages of it, such as a library that handlers need
# BASE=FILE.tar    a root file system to take in place of that Debian
set -eu
deb=${1:?usage: packaging/image/build.sh PACKAGE.deb [OUTPUT-FOLDER]}
suite=${SUITE:-trixie}
uid=10001 # above those of any Debian's own users, and of most hosts'

missing=
for tool in mmdebstrap umoci dpkg-parsechangelog:dpkg-dev; do # or COMMAND:PACKAGE
	command -v "${tool%:*}" >/dev/null || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "packaging/image/build.sh: install$missing first" >&2
		exit 1
	fi
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(dpkg-parsechangelog -l "$(dirname "$0")/../deb/debian/changelog" -STimestamp)}
export SOURCE_DATE_EPOCH
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# debian makes the root file system of a Debian that has no apt and no manuals,
# but the record of its packages, by which scanners go.
debian() {
	mmdebstrap --quiet --variant=essential --include="ca-certificates,tzdata${INCLUDE:+,$INCLUDE}" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='rm -f "$1"/var/log/*.log "$1"/var/log/apt/* "$1"/var/cache/debconf/*-old "$1"/var/cache/ldconfig/aux-cache' \
		--format=tar "$suite" "$1"
}

if [ "$deb" = --base ]; then
	debian "${2:?name the file}"
	exit
fi
mkdir -p "${2:-bin}"
out=$(cd "${2:-bin}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

base=${BASE:-$work/base.tar}
[ -n "${BASE:-}" ] || debian "$base"
mkdir "$work/has"
# What belongs to the image is told by the Debian below: its users, and its C library.
tar -C "$work/has" -xf "$base" --wildcards './etc/passwd' './etc/group' './etc/os-release' './usr/lib/os-release' './var/lib/dpkg/status*'
. "$work/has/usr/lib/os-release"
has=$(awk '/^Package: / { p = $2 } /^Version: / && p == "libc6" { print $2; exit }' "$work/has/var/lib/dpkg/status")
needs=$(dpkg-deb -f "$deb" Depends | sed -n 's/.*libc6 (>= \([^)]*\)).*/\1/p')
if ! dpkg --compare-versions "$has" ge "$needs"; then
	echo "packaging/image/build.sh: $deb was built for libc6 $needs, and the image has $has; name a newer Debian by SUITE=, or build the package on an older one" >&2
	exit 1
fi
version=$(dpkg-deb -f "$deb" Version)
arch=$(dpkg-deb -f "$deb" Architecture)

# The layer above: what of the package runs without systemd, its user, and the
# folder that is its own.
root=$work/root
mkdir "$root"
dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" -xf - --no-same-owner ./usr/bin ./usr/lib/plugserver ./usr/sbin \
	./usr/share/doc/plugserver/copyright ./etc/plugserver
mkdir -p "$root/usr/lib/plugserver/cells" "$root/var/lib/plugserver/handlers" "$root/state"
{ cat "$work/has/etc/passwd"; echo "plugserver:x:$uid:$uid:plugserver:/nonexistent:/usr/sbin/nologin"; } >"$root/etc/passwd"
{ cat "$work/has/etc/group"; echo "plugserver:x:$uid:"; } >"$root/etc/group"
chmod -R u=rwX,go=rX "$root"
chmod 0700 "$root/state"
tarred() { tar -C "$root" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner --format=gnu "$@"; }
tarred --owner=0 --group=0 -cf "$work/layer.tar" ./etc ./usr ./var
tarred --owner=$uid --group=$uid -rf "$work/layer.tar" ./state

oci=$work/oci:latest
umoci init --layout "$work/oci"
umoci new --image "$oci"
layer() { umoci raw add-layer --image "$oci" --history.created "$created" --history.created_by "$2" "$1"; }
layer "$base" "$PRETTY_NAME"
layer "$work/layer.tar" "plugserver $version"
umoci config --image "$oci" --no-history --created "$created" --architecture "$arch" --os linux \
	--config.user "$uid:$uid" --config.workingdir / --config.entrypoint /usr/sbin/plugserverd --config.stopsignal SIGTERM \
	--config.exposedports 8080/tcp --config.exposedports 9464/tcp --config.volume /state \
	--config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --config.env LANG=C.UTF-8 \
	--config.env PLUGSERVER_STATE=/state --config.env PLUGSERVER_CONTROL=/state/control.sock --config.env PLUGSERVER_CREDENTIALS=/dev/shm \
	--config.env PLUGSERVER_ADMIN_LISTEN=:9464 --config.env PLUGSERVER_BUILD=off \
	--config.env PLUGSERVER_LOG_FORMAT=json --config.env PLUGSERVER_LOG_OUTPUT=stdout \
	--config.label org.opencontainers.image.title=plugserver --config.label "org.opencontainers.image.version=$version" \
	--config.label "org.opencontainers.image.description=HTTP server for handlers dropped in as compiled Go plugins" \
	--config.label "org.opencontainers.image.source=$(dpkg-deb -f "$deb" Homepage)" --config.label org.opencontainers.image.licenses=MIT \
	--config.label "org.opencontainers.image.base.name=debian:$suite"
umoci gc --layout "$work/oci"
# The name under which what loads the archive has it.
sed -i "s|\"org.opencontainers.image.ref.name\":\"latest\"|\"org.opencontainers.image.ref.name\":\"localhost/plugserver:$(echo "$version" | tr +~ --)\"|" "$work/oci/index.json"

name=plugserver_${version}_$arch.oci.tar
tar -C "$work/oci" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf "$out/.$name" .
mv "$out/.$name" "$out/$name"
echo "$out/$name"
