package configapi

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// document draws a resource whose references may or may not be good.
func document(t *rapid.T, i int) string {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, fmt.Sprint("name", i))
	other := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, fmt.Sprint("other", i))
	port := rapid.SampledFrom([]string{"80", "81"}).Draw(t, fmt.Sprint("port", i))
	switch rapid.IntRange(0, 3).Draw(t, fmt.Sprint("kind", i)) {
	case 0:
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: " + name + "}\nspec: {gatewayClassName: h, listeners: [{name: l, port: " + port + ", hostname: " + other + ".test, protocol: HTTP}]}\n"
	case 1:
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " + name + "}\nspec: {parentRefs: [{name: " + other + "}], hostnames: [" + name + ".test], rules: [{backendRefs: [{name: " + other + ", port: " + port + "}]}]}\n"
	case 2:
		return "apiVersion: hawser.dev/v1\nkind: EnvoyResource\nmetadata: {name: " + name + "}\nspec: {type: CLUSTER, resource: {name: " + other + ", connect_timeout: 1s}, proxies: {clusters: [p" + port + "]}}\n"
	default:
		return "apiVersion: hawser.dev/v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {selector: {a: b}, ports: [{port: " + port + "}]}\n"
	}
}

// whole finds what is wrong with a mesh, by looking at all of it.
func whole(mesh map[resource.Key]*configv1.Resource) bool {
	lookup := func(k resource.Key) (*configv1.Resource, bool, error) { return mesh[k], mesh[k] != nil, nil }
	for k, r := range mesh {
		if bad, _ := resource.CheckLinks(r, lookup); len(bad) > 0 {
			return false
		}
		for other, o := range mesh {
			if k.Kind == resource.Gateway && other.Kind == k.Kind && len(resource.GatewayConflicts(r, o)) > 0 {
				return false
			}
			if k != other && resource.Claim(r) != "" && resource.Claim(r) == resource.Claim(o) && resource.Overlap(r, o) {
				return false
			}
		}
	}
	return true
}

// What the plan checks, which is what a change set touches, is enough: a
// change set is accepted if and only if the whole mesh after it is good.
func TestPlanAcceptsExactlyGoodMeshes(t *testing.T) {
	n := 0
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		n++
		st, err := store.Open(t.Context(), store.Config{SQLitePath: filepath.Join(dir, fmt.Sprint(n, ".db"))})
		if err != nil {
			rt.Fatal(err)
		}
		defer st.Close()
		s := &Server{cfg: Config{Mesh: "m", Now: time.Now}}
		mesh := map[resource.Key]*configv1.Resource{}
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			manifest := ""
			for i := range rapid.IntRange(1, 4).Draw(rt, "documents") {
				manifest += "---\n" + document(rt, step*10+i)
			}
			rs, bad := resource.Parse([]byte(manifest), "")
			if len(bad) > 0 {
				rt.Fatal(bad)
			}
			set := &changeSet{resources: rs}
			keys := slices.SortedFunc(maps.Keys(mesh), resource.Key.Compare)
			for _, k := range keys {
				if rapid.IntRange(0, 9).Draw(rt, "delete "+k.String()) == 0 {
					set.deletes = append(set.deletes, k)
				}
			}
			if len(set.check()) > 0 {
				continue // a key is there twice
			}
			next := map[resource.Key]*configv1.Resource{}
			for k, r := range mesh {
				next[k] = r
			}
			for _, k := range set.deletes {
				delete(next, k)
			}
			for _, r := range rs {
				next[resource.KeyOf(r)] = r
			}
			refused := errors.New("refused")
			err := st.Update(t.Context(), "m", func(tx *store.Tx) error {
				changes, err := s.plan(tx, set)
				if err != nil {
					return errors.Join(refused, err)
				}
				if changes = effective(changes); len(changes) == 0 {
					return nil
				}
				return tx.Commit(&configv1.Revision{CreateTime: timestamppb.Now()}, changes)
			})
			if good := whole(next); good != (err == nil) {
				rt.Fatalf("the mesh is good: %v, but the plan says %v\n%s", good, err, manifest)
			}
			if err == nil {
				mesh = next
			} else if !errors.Is(err, refused) {
				rt.Fatal(err)
			}
		}
	})
}
