#!/usr/bin/env bash
# check.sh PENSTOCK PEERS: what in deploy/ can be checked without a cluster: settings of proxies by the proxies
# themselves or by their definitions, the service by systemd, manifests against schemas, and the container's root by the
# same steps as its Dockerfile. Needs nginx, haproxy and systemd-analyze (Debian: nginx-light haproxy systemd).
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "$1") peers=$2
for tool in nginx haproxy systemd-analyze; do
  command -v $tool >/dev/null || { echo "$tool is missing: apt-get install nginx-light haproxy systemd"; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nginx -t -q -c "$PWD/deploy/proxies/nginx.conf"
haproxy -c -q -f deploy/proxies/haproxy.cfg
echo "proxies: nginx and haproxy take their settings"

# systemd wants the program to exist, where the packages install it.
sed -e "s#/usr/bin/penstock#$program#" -e '/^Documentation=/d' deploy/systemd/penstock.service >"$work/penstock.service"
sed -e '/^Documentation=/d' deploy/systemd/penstock.socket >"$work/penstock.socket"
systemd-analyze verify "$work/penstock.service" "$work/penstock.socket"
exposure=$(systemd-analyze security --offline=true "$work/penstock.service" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
awk -v e="$exposure" 'BEGIN { exit !(e > 0 && e < 2) }' || { echo "the service's exposure is $exposure, want under 2"; exit 1; }
"$program" config check deploy/systemd/penstock.yaml >/dev/null
echo "service and socket: verified, exposure $exposure of 10"

python=$peers/deploy/bin/python
"$python" - <<'P'
import pathlib, sys, yaml, kubernetes_validate
checked, foreign = 0, 0
for file in sorted(pathlib.Path("deploy/kubernetes").glob("*.yaml")):
    for manifest in yaml.safe_load_all(file.read_text()):
        group = manifest["apiVersion"].rpartition("/")[0]
        if group == "serving.kserve.io":  # its template is that of a pod
            template = {"metadata": {"labels": {"app": "x"}}, "spec": manifest["spec"]["template"]}
            manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"},
                        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}}
        elif group in ("inference.networking.k8s.io", "gateway.networking.k8s.io"):
            foreign += 1  # the tests of test/deploy look at these
            continue
        kubernetes_validate.validate(manifest, "1.33", strict=True)
        checked += 1
if checked < 9:
    sys.exit(f"only {checked} manifests were checked")
print(f"kubernetes: {checked} manifests are valid; {foreign} more are of extensions")
P
(cd test/deploy && go vet ./... && go test -count=1 ./...)
echo "envoy, Gateway API, inference extension, KServe: settings and resources are as their definitions have them"

# The image's root: the steps of the Dockerfile that need no container.
mkdir -p "$work/root/etc/ssl/certs" "$work/root/models"
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o "$work/root/penstock" ./cmd/penstock
if ldd "$work/root/penstock" >/dev/null 2>&1; then echo "the program is not static"; exit 1; fi
[ "$(id -u)" != 0 ] || chroot "$work/root" /penstock --version
echo "container: the program runs in a root with nothing else, $(du -m "$work/root/penstock" | cut -f1) MB"
