package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/gateway-api/pkg/consts"
	"sigs.k8s.io/yaml"
)

// manifests are the documents of the files in deploy/kubernetes, by their kinds.
func manifests(t *testing.T, kind string) (all []map[string]any) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "kubernetes", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var m map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &m); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if m["kind"] == kind {
				all = append(all, m)
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("there is no %s", kind)
	}
	return all
}

// strict takes a value with only the fields of v.
func strict(t *testing.T, what string, value, v any) {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%s: %v", what, err)
	}
}

// closed forbids fields that a schema does not name, as Kubernetes drops them.
func closed(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, has := s["properties"]; has && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] == nil {
			s["additionalProperties"] = false
		}
		for _, v := range s {
			closed(v)
		}
	case []any:
		for _, v := range s {
			closed(v)
		}
	}
}

// The route is one of the Gateway API, by the schema in its own release.
func TestRoutes(t *testing.T) {
	t.Log("Gateway API", consts.BundleVersion)
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, v := range crd.Spec.Versions {
		if v.Name != "v1" {
			continue
		}
		schema := v.Schema.OpenAPIV3Schema
		delete(schema["properties"].(map[string]any), "metadata") // any object
		closed(schema)
		schema["properties"].(map[string]any)["metadata"] = map[string]any{"type": "object"}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("route.json", schema); err != nil {
			t.Fatal(err)
		}
		compiled, err := c.Compile("route.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range manifests(t, "HTTPRoute") {
			checked++
			if err := compiled.Validate(m); err != nil {
				t.Error(err)
			}
			m["spec"].(map[string]any)["nonsense"] = true
			if compiled.Validate(m) == nil {
				t.Error("the schema allows what it does not name")
			}
		}
	}
	if checked == 0 {
		t.Error("no route was checked")
	}
}

// The pool has the fields of version v1 of the inference extension, whose module has no release that Go's proxy serves;
// its picker is the one that is deployed, and its servers are those that are.
func TestPool(t *testing.T) {
	var pool struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct{ Name string }
		Spec       struct {
			Selector    struct{ MatchLabels map[string]string }
			TargetPorts []struct{ Number int }
			AppProtocol string
			PickerRef   struct {
				Group, Kind, Name, FailureMode string
				Port                           struct{ Number int }
			} `json:"endpointPickerRef"`
		}
	}
	strict(t, "InferencePool", manifests(t, "InferencePool")[0], &pool)
	spec := &pool.Spec
	if pool.APIVersion != "inference.networking.k8s.io/v1" || len(spec.TargetPorts) != 1 || spec.TargetPorts[0].Number != 8080 {
		t.Errorf("pool %+v", pool)
	}
	picker, servers := false, false
	for _, m := range manifests(t, "Service") {
		name := m["metadata"].(map[string]any)["name"]
		for _, p := range m["spec"].(map[string]any)["ports"].([]any) {
			picker = picker || name == spec.PickerRef.Name && p.(map[string]any)["port"] == float64(spec.PickerRef.Port.Number)
		}
	}
	for _, m := range manifests(t, "Deployment") {
		labels := m["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"].(map[string]any)
		all := len(spec.Selector.MatchLabels) > 0
		for k, v := range spec.Selector.MatchLabels {
			all = all && labels[k] == v
		}
		servers = servers || all
	}
	if !picker || !servers {
		t.Errorf("its picker is deployed: %v; its servers: %v", picker, servers)
	}
}

// pickerConfig is the settings of llm-d's endpoint picker, as far as they are used here.
type pickerConfig struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Plugins    []struct {
		Name, Type string
		Parameters map[string]any
	}
	SchedulingProfiles []struct {
		Name    string
		Plugins []struct {
			PluginRef string
			Weight    float64
		}
	}
	DataLayer struct {
		Discovery struct {
			Endpoints struct{ PluginRef string }
		}
	}
}

// The endpoint picker's settings refer only to plugins that they list, and the file of servers is as its plugin reads it.
func TestPicker(t *testing.T) {
	configs := map[string]map[string]any{}
	var alone map[string]any
	if err := json.Unmarshal(read(t, "envoy/epp.yaml"), &alone); err != nil {
		t.Fatal(err)
	}
	configs["envoy/epp.yaml"] = alone
	for _, m := range manifests(t, "ConfigMap") {
		var inner map[string]any
		if err := yaml.UnmarshalStrict([]byte(m["data"].(map[string]any)["config.yaml"].(string)), &inner); err != nil {
			t.Fatal(err)
		}
		configs["endpoint-picker.yaml"] = inner
	}
	for name, raw := range configs {
		var c pickerConfig
		strict(t, name, raw, &c)
		known := map[string]bool{}
		for _, p := range c.Plugins {
			known[p.Type], known[p.Name] = true, true
		}
		refs := []string{c.DataLayer.Discovery.Endpoints.PluginRef}
		for _, p := range c.SchedulingProfiles {
			for _, r := range p.Plugins {
				refs = append(refs, r.PluginRef)
			}
		}
		for _, r := range refs {
			if r != "" && !known[r] {
				t.Errorf("%s: no plugin is called %s", name, r)
			}
		}
		if c.Kind != "EndpointPickerConfig" || len(refs) < 3 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	var servers struct {
		Endpoints []struct {
			Name, Namespace, Address, Port string
			Labels                         map[string]string
		}
	}
	var raw any
	if err := json.Unmarshal(read(t, "envoy/endpoints.yaml"), &raw); err != nil {
		t.Fatal(err)
	}
	strict(t, "envoy/endpoints.yaml", raw, &servers)
	for _, e := range servers.Endpoints {
		port, err := strconv.Atoi(e.Port)
		if a, bad := netip.ParseAddr(e.Address); bad != nil || !a.Is4() || err != nil || port < 1 || port > 65535 || e.Name == "" {
			t.Errorf("endpoint %+v", e)
		}
	}
	if len(servers.Endpoints) < 2 {
		t.Errorf("endpoints %+v", servers)
	}
}

// KServe's service has the fields that KServe names; check.sh holds its template against the schema of a pod.
func TestKServe(t *testing.T) {
	var s struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct{ Name string }
		Spec       struct {
			Model    struct{ URI, Name string }
			Replicas int
			Router   struct{ Route, Gateway, Scheduler map[string]any }
			Template struct {
				TerminationGracePeriodSeconds int
				Containers                    []map[string]any
				Volumes                       []any
			}
		}
	}
	strict(t, "LLMInferenceService", manifests(t, "LLMInferenceService")[0], &s)
	if s.APIVersion != "serving.kserve.io/v1alpha1" || s.Spec.Model.URI == "" || len(s.Spec.Template.Containers) != 1 || s.Spec.Template.Containers[0]["name"] != "main" {
		t.Errorf("service %+v", s)
	}
}
