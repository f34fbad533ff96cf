// Package deploy has tests of what is in deploy/: settings of Envoy against Envoy's own definitions of them, and
// manifests against the schemas of the Gateway API. It is a module of its own, so that building the server downloads
// nothing of this. `make deploy-check` runs it, beside what test/deploy/check.sh checks with other programs.
package deploy
