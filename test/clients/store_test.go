package clients

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
)

// The official client pulls, copies, finds and removes a model; making one is refused.
func TestOllamaStore(t *testing.T) {
	client, _ := newOllama(t)
	name := fmt.Sprintf("copy-of-go-%d", os.Getpid())
	status := func(err error) int {
		var s api.StatusError
		if errors.As(err, &s) && s.ErrorMessage != "" {
			return s.StatusCode
		}
		return 0
	}
	t.Run("pull", func(t *testing.T) {
		var all []string
		err := client.Pull(t.Context(), &api.PullRequest{Model: model}, func(p api.ProgressResponse) error {
			all = append(all, p.Status)
			return nil
		})
		if err != nil || len(all) < 2 || all[len(all)-1] != "success" {
			t.Errorf("%v %q", err, all)
		}
	})
	t.Run("copy and delete", func(t *testing.T) {
		if err := client.Copy(t.Context(), &api.CopyRequest{Source: model, Destination: name}); err != nil {
			t.Fatal(err)
		}
		list, err := client.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list.Models, func(m api.ListModelResponse) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("the copy is not listed: %+v", list)
		}
		blob, err := http.Head(address + "/api/blobs/sha256:" + list.Models[i].Digest)
		if err != nil || blob.StatusCode != 200 {
			t.Errorf("its digest is not known: %v %+v", err, blob)
		}
		if err := client.Delete(t.Context(), &api.DeleteRequest{Model: name}); err != nil {
			t.Error(err)
		}
		if err := client.Delete(t.Context(), &api.DeleteRequest{Model: name}); status(err) != 404 {
			t.Errorf("it is removed twice: %v", err)
		}
	})
	t.Run("create", func(t *testing.T) {
		err := client.Create(t.Context(), &api.CreateRequest{Model: name, From: model}, func(api.ProgressResponse) error { return nil })
		if status(err) != 501 {
			t.Errorf("create: %v", err)
		}
		if err := client.CreateBlob(t.Context(), "sha256:"+strings.Repeat("0", 64), strings.NewReader("x")); status(err) != 501 {
			t.Errorf("a blob: %v", err)
		}
	})
}
