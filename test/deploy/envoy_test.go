package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

const folder = "../../deploy"

// read returns a file as JSON.
func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return data
}

// Envoy's settings have only fields that Envoy knows, with values that its own rules allow, down to the settings of
// each filter, and name only clusters that there are.
func TestEnvoy(t *testing.T) {
	for name, m := range map[string]proto.Message{
		"envoy/envoy.yaml":       &bootstrap.Bootstrap{},
		"envoy/envoy-alone.yaml": &bootstrap.Bootstrap{},
		"envoy/servers.yaml":     &discovery.DiscoveryResponse{},
	} {
		if err := protojson.Unmarshal(read(t, name), m); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checked := 0
		check(t, name, m, &checked)
		if checked < 1 {
			t.Errorf("%s: nothing was checked", name)
		}
		b, ok := m.(*bootstrap.Bootstrap)
		if !ok {
			continue
		}
		clusters := map[string]bool{}
		for _, c := range b.GetStaticResources().GetClusters() {
			clusters[c.GetName()] = true
		}
		for _, used := range strings.Fields(strings.NewReplacer("{", " ", "}", " ", ",", " ", "\"", " ").Replace(strings.Join(named(string(read(t, name))), " "))) {
			if !clusters[used] {
				t.Errorf("%s: there is no cluster %s", name, used)
			}
		}
	}
}

// named are the values of the fields of JSON that name a cluster of Envoy.
func named(text string) (all []string) {
	for _, key := range []string{`"cluster":"`, `"cluster_name":"`} {
		for rest := text; ; {
			_, after, found := strings.Cut(rest, key)
			if !found {
				break
			}
			value, more, _ := strings.Cut(after, `"`)
			all, rest = append(all, value), more
		}
	}
	return all
}

// check applies the rules of a message, and those of all that it wraps.
func check(t *testing.T, name string, m proto.Message, checked *int) {
	t.Helper()
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		*checked++
		if err := v.ValidateAll(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				unwrap(t, name, v.Message().Interface(), checked)
				return true
			})
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				unwrap(t, name, v.List().Get(i).Message().Interface(), checked)
			}
		default:
			unwrap(t, name, v.Message().Interface(), checked)
		}
		return true
	})
}

func unwrap(t *testing.T, name string, m proto.Message, checked *int) {
	t.Helper()
	if a, ok := m.(*anypb.Any); ok {
		inner, err := a.UnmarshalNew()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		m = inner
	}
	check(t, name, m, checked)
}
