package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawser-mesh/hawser/dataplane/internal/admin"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/xds/client"
)

// dump is /config_dump: the bootstrap, clusters, listeners and routes in force.
func (s *Server) dump(o admin.DumpOptions) ([]byte, error) {
	if o.Mask != "" {
		return nil, fmt.Errorf("mask is not supported; use resource and name_regex")
	}
	if o.IncludeEDS {
		return nil, fmt.Errorf("include_eds is not supported; /clusters shows the endpoints")
	}
	parts := []proto.Message{
		&adminv3.BootstrapConfigDump{Bootstrap: s.boot.Message, LastUpdated: timestamppb.New(s.started)},
		s.dumpClusters(), s.dumpListeners(), s.dumpRoutes(),
	}
	out := new(adminv3.ConfigDump)
	if o.Resource != "" {
		list, err := pick(parts, o)
		if err != nil {
			return nil, err
		}
		out.Configs = list
		return marshalDump(out)
	}
	for _, p := range parts {
		if o.NameRegex != nil {
			if _, ok := p.(*adminv3.BootstrapConfigDump); ok {
				continue
			}
			keepNamed(p, o)
		}
		a, err := anypb.New(p)
		if err != nil {
			return nil, err
		}
		out.Configs = append(out.Configs, a)
	}
	return marshalDump(out)
}

func marshalDump(m proto.Message) ([]byte, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, data, "", " ") // protojson's own white space varies
	return b.Bytes(), err
}

// pick returns the entries of one list, by its field's name.
func pick(parts []proto.Message, o admin.DumpOptions) ([]*anypb.Any, error) {
	for _, p := range parts {
		m := p.ProtoReflect()
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(o.Resource))
		if fd == nil {
			continue
		}
		keepNamed(p, o)
		var out []*anypb.Any
		if !fd.IsList() {
			a, err := anypb.New(m.Get(fd).Message().Interface())
			return []*anypb.Any{a}, err
		}
		for l, i := m.Get(fd).List(), 0; i < l.Len(); i++ {
			a, err := anypb.New(l.Get(i).Message().Interface())
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s not found in config dump", o.Resource)
}

// keepNamed drops the entries of all lists whose name does not match.
func keepNamed(p proto.Message, o admin.DumpOptions) {
	if o.NameRegex == nil {
		return
	}
	m := p.ProtoReflect()
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !fd.IsList() || fd.Message() == nil {
			return true
		}
		kept := m.NewField(fd).List()
		for l, i := v.List(), 0; i < l.Len(); i++ {
			if o.NameRegex.MatchString(entryName(l.Get(i).Message())) {
				kept.Append(l.Get(i))
			}
		}
		m.Set(fd, protoreflect.ValueOfList(kept))
		return true
	})
}

// entryName is the name of a resource in a dump's entry.
func entryName(m protoreflect.Message) string {
	name := ""
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Name() == "name" && fd.Kind() == protoreflect.StringKind:
			name = v.String()
			return false
		case fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Any":
			a, ok := v.Message().Interface().(*anypb.Any)
			if !ok {
				return true
			}
			if x, err := a.UnmarshalNew(); err == nil {
				name = entryName(x.ProtoReflect())
			}
			return name == ""
		}
		return true
	})
	return name
}

func rawAny(typeURL string, raw []byte) *anypb.Any { return &anypb.Any{TypeUrl: typeURL, Value: raw} }

func (s *Server) dumpClusters() proto.Message {
	d := s.xClusters.Dump()
	out := &adminv3.ClustersConfigDump{VersionInfo: d.Version}
	dynamic := func(c *config.Cluster, at time.Time, st adminv3.ClientResourceStatus) *adminv3.ClustersConfigDump_DynamicCluster {
		return &adminv3.ClustersConfigDump_DynamicCluster{
			VersionInfo: c.Version, Cluster: rawAny(client.Cluster, c.Raw), LastUpdated: timestamppb.New(at), ClientStatus: st,
		}
	}
	for _, c := range d.Static {
		out.StaticClusters = append(out.StaticClusters, &adminv3.ClustersConfigDump_StaticCluster{
			Cluster: rawAny(client.Cluster, c.Config.Raw), LastUpdated: timestamppb.New(c.Updated),
		})
	}
	for _, c := range d.Active {
		out.DynamicActiveClusters = append(out.DynamicActiveClusters, dynamic(c.Config, c.Updated, adminv3.ClientResourceStatus_UNKNOWN))
	}
	for _, c := range d.Warming {
		out.DynamicWarmingClusters = append(out.DynamicWarmingClusters, dynamic(c.Config, c.Updated, adminv3.ClientResourceStatus_UNKNOWN))
	}
	return out
}

func (s *Server) dumpListeners() proto.Message {
	d := s.xListeners.Dump()
	out := &adminv3.ListenersConfigDump{VersionInfo: d.Version}
	state := func(l *config.Listener, at time.Time) *adminv3.ListenersConfigDump_DynamicListenerState {
		if l == nil {
			return nil
		}
		return &adminv3.ListenersConfigDump_DynamicListenerState{
			VersionInfo: l.Version, Listener: rawAny(client.Listener, l.Raw), LastUpdated: timestamppb.New(at),
		}
	}
	for _, l := range d.Listeners {
		if l.Static {
			c, at := l.Active, l.ActiveUpdated
			if c == nil {
				c, at = l.Warming, l.WarmingUpdated
			}
			if c != nil {
				out.StaticListeners = append(out.StaticListeners, &adminv3.ListenersConfigDump_StaticListener{
					Listener: rawAny(client.Listener, c.Raw), LastUpdated: timestamppb.New(at),
				})
			}
			continue
		}
		x := &adminv3.ListenersConfigDump_DynamicListener{
			Name: l.Name, ActiveState: state(l.Active, l.ActiveUpdated), WarmingState: state(l.Warming, l.WarmingUpdated),
		}
		if f := l.Failure; f != nil {
			x.ErrorState = &adminv3.UpdateFailureState{
				FailedConfiguration: f.Message, LastUpdateAttempt: timestamppb.New(f.Time), Details: f.Err.Error(),
			}
		}
		out.DynamicListeners = append(out.DynamicListeners, x)
	}
	return out
}

func (s *Server) dumpRoutes() proto.Message {
	out := new(adminv3.RoutesConfigDump)
	for _, h := range s.routes.Snapshot() {
		t := h.Route()
		out.DynamicRouteConfigs = append(out.DynamicRouteConfigs, &adminv3.RoutesConfigDump_DynamicRouteConfig{
			VersionInfo: t.Version, RouteConfig: rawAny(client.Routes, t.Raw),
		})
	}
	return out
}
