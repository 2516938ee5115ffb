package assemble

import (
	"errors"
	"hash/fnv"
	"strings"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// fakeSource is a Source whose server is the test.
type fakeSource struct {
	subs   []*fakeSub
	paused int
}

type fakeSub struct {
	client.SubscriptionConfig
	closed bool
}

func (f *fakeSource) Subscribe(c client.SubscriptionConfig) (client.Subscription, error) {
	s := &fakeSub{SubscriptionConfig: c}
	f.subs = append(f.subs, s)
	return s, nil
}

func (f *fakeSource) Pause(string) func() {
	f.paused++
	return func() { f.paused-- }
}

func (s *fakeSub) SetNames(names []string) { s.Names = names }
func (s *fakeSub) Close()                  { s.closed = true }

// asked lists the names that are subscribed.
func (f *fakeSource) asked() string {
	var out []string
	for _, s := range f.subs {
		if !s.closed {
			out = append(out, s.Names...)
		}
	}
	return strings.Join(out, " ")
}

// send gives a resource "name body" to those who want it.
func (f *fakeSource) send(name, body string) []client.Rejected {
	var bad []client.Rejected
	for _, s := range append([]*fakeSub{}, f.subs...) {
		if !s.closed && len(s.Names) == 1 && s.Names[0] == name {
			bad = append(bad, s.Handler.OnUpdate(&client.Update{Added: []client.Resource{res(name, body)}})...)
		}
	}
	return bad
}

// res makes a resource whose "message" is its name and a body of words.
func res(name, body string) client.Resource {
	return client.Resource{Name: name, Version: "1", Message: &anypb.Any{Value: []byte(name + " " + body)}}
}

func update(resources ...client.Resource) *client.Update { return &client.Update{Added: resources} }

func words(a *anypb.Any) (name string, body []string, hash uint64, err error) {
	f := strings.Fields(string(a.Value))
	h := fnv.New64a()
	_, _ = h.Write(a.Value)
	if len(f) > 1 && f[1] == "bad" {
		return "", nil, 0, errors.New("field: bad value")
	}
	return f[0], f[1:], h.Sum64(), nil
}

// decodeCluster reads "static", or "eds NAME", and any other word.
func decodeCluster(a *anypb.Any, version string) (*config.Cluster, error) {
	name, body, hash, err := words(a)
	if err != nil {
		return nil, err
	}
	c := &config.Cluster{Name: name, Hash: hash, Version: version}
	if body[0] == "eds" {
		c.Discovery, c.EDSName, c.EDSSource = config.EDS, body[1], &config.Source{}
	}
	return c, nil
}

func decodeAssignment(a *anypb.Any, version string) (*config.Assignment, error) {
	name, body, _, err := words(a)
	if err != nil {
		return nil, err
	}
	return &config.Assignment{ClusterName: name, Version: body[0]}, nil
}

// fakeClusters is a cluster manager that warms when the test says so.
type fakeClusters struct {
	log    []string
	slow   bool
	refuse string
	ready  func()
}

func (f *fakeClusters) Update(c *config.Cluster, ready func()) error {
	if c.Name == f.refuse {
		return errors.New("refused by the manager")
	}
	e := "update " + c.Name
	if c.Assignment != nil {
		e += " with " + c.Assignment.Version
	}
	f.log = append(f.log, e)
	if f.ready = ready; !f.slow {
		ready()
	}
	return nil
}

func (f *fakeClusters) SetAssignment(name string, a *config.Assignment) error {
	f.log = append(f.log, "assign "+name+" "+a.Version)
	return nil
}

func (f *fakeClusters) Remove(name string) bool {
	f.log = append(f.log, "remove "+name)
	return true
}

func (f *fakeClusters) took() string {
	s := strings.Join(f.log, ", ")
	f.log = nil
	return s
}

// fakeListeners is a listener manager.
type fakeListeners struct {
	log    []string
	refuse string
}

func (f *fakeListeners) Update(c *config.Listener) error {
	if c.Name == f.refuse {
		return errors.New("address in use")
	}
	f.log = append(f.log, "update "+c.Name)
	return nil
}

func (f *fakeListeners) Remove(name string) bool {
	f.log = append(f.log, "remove "+name)
	return true
}

func (f *fakeListeners) took() string {
	s := strings.Join(f.log, ", ")
	f.log = nil
	return s
}

func noStats(string) *client.Stats { return nil }
