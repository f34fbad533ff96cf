#!/usr/bin/env bash
# release.sh [OUT]: what a release consists of, in OUT (dist): an archive for each
# system, .deb and .rpm packages, a Homebrew formula, the list of what is linked
# (CycloneDX), and checksums. The same commit gives the same bytes everywhere: times
# are the commit's, names are sorted, nothing of the machine gets in.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-dist}")
version=$(git describe --tags --always --dirty)
version=${version#v}
# Packages need a version that begins with a digit.
numbered=$version
[[ $numbered =~ ^[0-9]+\. ]] || numbered=0.0.0-$version
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
stamp=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out" bin

(cd tools/release && CGO_ENABLED=0 go build -o ../../bin/ \
  github.com/goreleaser/nfpm/v2/cmd/nfpm github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)

build() { # build OS ARCH FOLDER
  local name=penstock
  [ "$1" = windows ] && name=penstock.exe
  mkdir -p "$3"
  CGO_ENABLED=0 GOOS=$1 GOARCH=$2 go build -trimpath -buildvcs=true -ldflags="-s -w" -o "$3/$name" ./cmd/penstock
  cp README.md LICENSE CHANGELOG.md "$3"
}

archive() { # archive NAME OS
  local files
  chmod -R u=rwX,go=rX "$work/$1" # whatever the mask is here
  find "$work/$1" -exec touch -h -d "$stamp" {} +
  if [ "$2" = windows ]; then
    (cd "$work" && find "$1" -type f | LC_ALL=C sort | TZ=UTC zip -q -X -9 "$out/$1.zip" -@)
  else
    tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="$stamp" -cf - "$1" | gzip -n -9 >"$out/$1.tar.gz"
  fi
}

# What the program says of itself, by the binary for this machine.
CGO_ENABLED=0 go build -trimpath -buildvcs=true -o "$work/here" ./cmd/penstock
documents() { # documents FOLDER
  "$work/here" man | gzip -n -9 >"$1/penstock.1.gz"
  "$work/here" completion bash >"$1/penstock.bash"
  "$work/here" completion zsh >"$1/penstock.zsh"
  "$work/here" completion fish >"$1/penstock.fish"
}

all="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64"
for system in ${SYSTEMS:=$all}; do
  os=${system%/*} arch=${system#*/} name=penstock_${version}_${system/\//_}
  build "$os" "$arch" "$work/$name"
  documents "$work/$name"
  archive "$name" "$os"
  if [ "$os" = linux ]; then
    for packager in deb rpm; do
      ROOT=$work/$name ARCH=$arch VERSION=$numbered bin/nfpm package -f tools/release/nfpm.yaml -p $packager -t "$out" >/dev/null
    done
  fi
done

CGO_ENABLED=0 bin/cyclonedx-gomod app -json -licenses -noserial -main cmd/penstock -output "$out/penstock_$version.cdx.json" .
sed -i -E "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$stamp\"/" "$out/penstock_$version.cdx.json"

digest() { sha256sum "$out/$1" | cut -d' ' -f1; }
formula() { # the variables of the template, in one pass
  sed -e "s/@VERSION@/$version/g" -e "s/@DARWIN_ARM64@/$(digest "penstock_${version}_darwin_arm64.tar.gz")/" \
    -e "s/@DARWIN_AMD64@/$(digest "penstock_${version}_darwin_amd64.tar.gz")/" \
    -e "s/@LINUX_ARM64@/$(digest "penstock_${version}_linux_arm64.tar.gz")/" \
    -e "s/@LINUX_AMD64@/$(digest "penstock_${version}_linux_amd64.tar.gz")/" tools/release/penstock.rb.in
}
if [ "$SYSTEMS" = "$all" ]; then formula >"$out/penstock.rb"; fi
(cd "$out" && sha256sum -- * >checksums.txt)
echo "release $version is in $out:"
ls -l "$out" | tail -n +2 | awk '{print $5, $9}'
