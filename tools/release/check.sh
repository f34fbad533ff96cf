#!/usr/bin/env bash
# check.sh: releases the commit twice, from clones in two places with two caches, and
# compares the bytes. Then it installs the .deb with dpkg under a root of its own,
# installs the .rpm with rpm under another, and runs what was installed.
# SYSTEMS="linux/amd64" is shorter than all systems, QUICK=1 has both use one build cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commit=$(git rev-parse HEAD)
[ -z "$(git status --porcelain)" ] || echo "note: what is not committed is not released"

for n in first second; do
  git clone -q . "$work/$n/penstock"
  git -C "$work/$n/penstock" checkout -q "$commit"
done
# The second one has a time zone, a mask and a build cache of its own.
(cd "$work/first/penstock" && tools/release/release.sh "$work/first/dist")
[ -n "${QUICK:-}" ] || cache=$work/cache
(cd "$work/second/penstock" && umask 077 && TZ=Asia/Kolkata LC_ALL=C GOCACHE=${cache:-$(go env GOCACHE)} tools/release/release.sh "$work/second/dist" >/dev/null)
diff -r "$work/first/dist" "$work/second/dist"
(cd "$work/first/dist" && sha256sum -c --quiet checksums.txt)
echo "both releases are the same bytes: $(wc -l <"$work/first/dist/checksums.txt") files"

runs() { # runs ROOT: what a package has put there works
  local p=$1/usr/bin/penstock
  "$p" version
  man -l "$1"/usr/share/man/man1/penstock.1.gz >/dev/null
  bash -c "source $1/usr/share/bash-completion/completions/penstock && complete -p penstock" >/dev/null
  find "$1" -type f | sed "s#^$1##" | LC_ALL=C sort
}

arch=$(dpkg --print-architecture)
deb=$(ls "$work"/first/dist/*_"$arch".deb)
dpkg-deb --info "$deb" | sed -n 's/^ \(Package\|Version\|Architecture\|Depends\|Installed-Size\)/\1/p'
mkdir -p "$work/root/var/lib/dpkg/"{info,updates}
: >"$work/root/var/lib/dpkg/status"
dpkg --root="$work/root" --force-not-root --force-script-chrootless --no-triggers -i "$deb" >/dev/null
dpkg --root="$work/root" -s penstock | grep -x 'Status: install ok installed'
rm -rf "$work/root/var/lib/dpkg" "$work/root/var/log"
runs "$work/root"

rpm=$(ls "$work"/first/dist/*"$(uname -m)".rpm)
rpm -qp --nosignature --qf '%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE}\n' "$rpm"
rpm -K --nosignature "$rpm"
mkdir "$work/unpacked"
rpm --root "$work/unpacked" --initdb
rpm --root "$work/unpacked" --nosignature --nodeps -i "$rpm"
rm -rf "$work/unpacked/var" "$work/unpacked/root"
runs "$work/unpacked" >"$work/rpm.list"
diff <(find "$work/root" -type f -printf '/%P\n' | grep -v '^/usr/share/doc' | LC_ALL=C sort) \
  <(find "$work/unpacked" -type f -printf '/%P\n' | grep -v '^/usr/share/doc' | LC_ALL=C sort)
echo "the packages install the same files, and what they install runs"
