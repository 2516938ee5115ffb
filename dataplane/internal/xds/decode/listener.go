package decode

import (
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/accesslog"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/listener"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// Listener decodes a Listener of LDS, or of the bootstrap when version is "".
// It acquires the route configurations that its connection managers name.
func (d *Decoder) Listener(a *anypb.Any, version string) (*config.Listener, error) {
	m, p := new(listenerv3.Listener), fieldpath.Path{}
	hash, raw, err := d.resource(a, m, p)
	if err != nil {
		return nil, err
	}
	l, err := d.listener(m, version == "", p)
	if err != nil {
		return nil, err
	}
	l.Version, l.Hash, l.Raw = version, hash, raw
	return l, nil
}

func (d *Decoder) listener(m *listenerv3.Listener, static bool, p fieldpath.Path) (*config.Listener, error) {
	l := &config.Listener{
		Name: m.GetName(), StatPrefix: m.GetStatPrefix(), BindToPort: boolean(m.GetBindToPort(), true),
		ReusePort: boolean(m.GetEnableReusePort(), true), Transparent: boolean(m.GetTransparent(), false), FreeBind: boolean(m.GetFreebind(), false),
		SocketMode: m.GetAddress().GetPipe().GetMode(), Backlog: int(u32(m.GetTcpBacklogSize(), 0)),
		BufferLimit:     u32(m.GetPerConnectionBufferLimitBytes(), defaultBufferLimit),
		AcceptsPerEvent: int(u32(m.GetMaxConnectionsToAcceptPerSocketEvent(), 0)), IgnoreGlobal: m.GetIgnoreGlobalConnLimit(),
		DrainModifyOnly:   m.GetDrainType() == listenerv3.Listener_MODIFY_ONLY,
		InspectTimeout:    duration(m.GetListenerFiltersTimeout(), defaultInspectTimeout),
		ContinueOnTimeout: m.GetContinueOnListenerFiltersTimeout(), Metadata: metadata(m.GetMetadata()), Static: static,
	}
	if v := m.GetDeprecatedV1().GetBindToPort(); v != nil { //nolint:staticcheck // still in use
		l.BindToPort = v.GetValue()
	}
	switch m.GetTrafficDirection() {
	case corev3.TrafficDirection_INBOUND:
		l.Direction = "inbound"
	case corev3.TrafficDirection_OUTBOUND:
		l.Direction = "outbound"
	}
	if d.deps.Runtime != nil {
		l.MaxConnections = d.deps.Runtime.Weight("envoy.resource_limits.listener."+l.Name+".connection_limit", 0)
	}
	if err := addresses(m, l, p); err != nil {
		return nil, err
	}
	for i, o := range m.GetSocketOptions() {
		x, err := socketOption(o, p.Field("socket_options").Index(i))
		if err != nil {
			return nil, err
		}
		l.SocketOptions = append(l.SocketOptions, x)
	}
	ctx := Context{Listener: listener.StatPrefix(l), Direction: l.Direction, Static: static}
	logs, err := d.accessLogs(m.GetAccessLog(), ctx, p.Field("access_log"))
	if err != nil {
		return nil, err
	}
	for _, x := range logs {
		l.AccessLogs = append(l.AccessLogs, x)
	}
	if err := d.listenerFilters(m, l, ctx, p); err != nil {
		return nil, err
	}
	return l, d.chains(m, l, ctx, p)
}

func addresses(m *listenerv3.Listener, l *config.Listener, p fieldpath.Path) (err error) {
	if m.GetAddress() == nil {
		return p.Field("address").Errorf("is required")
	}
	if l.Address, err = ipAddress(m.GetAddress(), p.Field("address")); err != nil {
		return err
	}
	if l.Name == "" {
		l.Name = l.Address.String()
	}
	for i, x := range m.GetAdditionalAddresses() {
		a, err := ipAddress(x.GetAddress(), p.Field("additional_addresses").Index(i).Field("address"))
		if err != nil {
			return err
		}
		l.MoreAddresses = append(l.MoreAddresses, a)
	}
	return nil
}

func socketOption(o *corev3.SocketOption, p fieldpath.Path) (config.SocketOption, error) {
	s := config.SocketOption{Level: int(o.GetLevel()), Name: int(o.GetName())}
	switch k := o.GetValue().(type) {
	case *corev3.SocketOption_IntValue:
		v := uint32(int32(k.IntValue)) //nolint:gosec // the kernel wants a C int
		if int64(int32(k.IntValue)) != k.IntValue {
			return s, p.Field("int_value").Errorf("%d does not fit an int", k.IntValue)
		}
		s.Value = []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
	case *corev3.SocketOption_BufValue:
		s.Value = k.BufValue
	}
	switch o.GetState() {
	case corev3.SocketOption_STATE_BOUND:
		s.State = config.StateBound
	case corev3.SocketOption_STATE_LISTENING:
		s.State = config.StateListening
	}
	return s, nil
}

func (d *Decoder) listenerFilters(m *listenerv3.Listener, l *config.Listener, ctx Context, p fieldpath.Path) error {
	for i, f := range m.GetListenerFilters() {
		x, err := d.build(d.deps.Registry.ListenerFilter, f.GetName(), f.GetTypedConfig(), ctx, p.Field("listener_filters").Index(i).Field("typed_config"))
		if err != nil {
			return err
		}
		l.ListenerFilters = append(l.ListenerFilters, config.ListenerFilter{Name: f.GetName(), Factory: x})
	}
	return nil
}

func (d *Decoder) chains(m *listenerv3.Listener, l *config.Listener, ctx Context, p fieldpath.Path) error {
	if len(m.GetFilterChains()) == 0 && m.GetDefaultFilterChain() == nil {
		return p.Field("filter_chains").Errorf("error adding listener '%s': no filter chains specified", l.Name)
	}
	for i, x := range m.GetFilterChains() {
		c, err := d.chain(x, ctx, p.Field("filter_chains").Index(i))
		if err != nil {
			return err
		}
		l.FilterChains = append(l.FilterChains, c)
	}
	if x := m.GetDefaultFilterChain(); x != nil {
		at := p.Field("default_filter_chain")
		if x.GetFilterChainMatch() != nil && !empty(x.GetFilterChainMatch()) {
			return at.Field("filter_chain_match").Errorf("must not be set in the default filter chain")
		}
		c, err := d.chain(x, ctx, at)
		if err != nil {
			return err
		}
		l.DefaultChain = c
	}
	return duplicateChains(l, p.Field("filter_chains"))
}

func empty(m *listenerv3.FilterChainMatch) bool {
	hash, _, err := hashOf(m)
	none, _, _ := hashOf(new(listenerv3.FilterChainMatch))
	return err == nil && hash == none
}

func (d *Decoder) chain(m *listenerv3.FilterChain, ctx Context, p fieldpath.Path) (*config.FilterChain, error) {
	c := &config.FilterChain{
		Name: m.GetName(), TransportTimeout: duration(m.GetTransportSocketConnectTimeout(), 0), Metadata: metadata(m.GetMetadata()),
	}
	var err error
	if c.Hash, _, err = hashOf(m); err != nil {
		return nil, p.Wrap(err)
	}
	if c.Match, err = chainMatch(m.GetFilterChainMatch(), p.Field("filter_chain_match")); err != nil {
		return nil, err
	}
	if s := m.GetTransportSocket(); !isPlain(s) {
		if c.Transport, err = d.build(d.deps.Registry.TransportSocketDown, s.GetName(), s.GetTypedConfig(), ctx, p.Field("transport_socket.typed_config")); err != nil {
			return nil, err
		}
	}
	for i, f := range m.GetFilters() {
		x, err := d.build(d.deps.Registry.Network, f.GetName(), f.GetTypedConfig(), ctx, p.Field("filters").Index(i).Field("typed_config"))
		if err != nil {
			return nil, err
		}
		c.Filters = append(c.Filters, config.NetworkFilter{Name: f.GetName(), Factory: x})
		last := i == len(m.GetFilters())-1
		if t := d.deps.Terminal; t != nil && t(x) != last {
			return nil, p.Field("filters").Index(i).Errorf("%s: %s", f.GetName(), terminalProblem(last, "network"))
		}
	}
	return c, nil
}

func terminalProblem(last bool, kind string) string {
	if last {
		return "non-terminal filter is the last filter in a " + kind + " filter chain"
	}
	return "terminal filter must be the last filter in a " + kind + " filter chain"
}

func chainMatch(m *listenerv3.FilterChainMatch, p fieldpath.Path) (config.FilterChainMatch, error) {
	c := config.FilterChainMatch{
		DestinationPort: u32(m.GetDestinationPort(), 0), TransportProtocol: m.GetTransportProtocol(),
		ApplicationProtocol: m.GetApplicationProtocols(), SourcePorts: m.GetSourcePorts(),
	}
	for i, n := range m.GetServerNames() {
		n = strings.ToLower(n)
		if strings.Contains(n, "*") && (!strings.HasPrefix(n, "*.") || strings.Count(n, "*") > 1) {
			return c, p.Field("server_names").Index(i).Errorf("partial wildcards are not supported in server_names: %s", n)
		}
		c.ServerNames = append(c.ServerNames, n)
	}
	switch m.GetSourceType() {
	case listenerv3.FilterChainMatch_SAME_IP_OR_LOOPBACK:
		c.SourceType = config.SourceSameIPOrLoopback
	case listenerv3.FilterChainMatch_EXTERNAL:
		c.SourceType = config.SourceExternal
	}
	var err error
	if c.Destination, err = ranges(m.GetPrefixRanges(), p.Field("prefix_ranges")); err != nil {
		return c, err
	}
	if c.DirectSource, err = ranges(m.GetDirectSourcePrefixRanges(), p.Field("direct_source_prefix_ranges")); err != nil {
		return c, err
	}
	c.Source, err = ranges(m.GetSourcePrefixRanges(), p.Field("source_prefix_ranges"))
	return c, err
}

// accessLogs builds access loggers with their filters.
func (d *Decoder) accessLogs(list []*accesslogv3.AccessLog, ctx Context, p fieldpath.Path) ([]streaminfo.Logger, error) {
	var out []streaminfo.Logger
	for i, m := range list {
		at := p.Index(i)
		var err error
		if ctx.LogFilter, err = accesslog.DecodeFilter(m.GetFilter(), at.Field("filter"), d.runtime()); err != nil {
			return nil, err
		}
		x, err := d.build(d.deps.Registry.AccessLog, m.GetName(), m.GetTypedConfig(), ctx, at.Field("typed_config"))
		if err != nil {
			return nil, err
		}
		l, ok := x.(streaminfo.Logger)
		if !ok {
			return nil, at.Errorf("%s is no access logger", m.GetName())
		}
		out = append(out, l)
	}
	return out, nil
}

// AccessLogs builds the loggers of an extension's own access_log field at p.
func (c Context) AccessLogs(list []*accesslogv3.AccessLog, p fieldpath.Path) ([]streaminfo.Logger, error) {
	return c.Decoder.accessLogs(list, c, p)
}

// runtime is Deps.Runtime as package accesslog wants it: nil stays nil.
func (d *Decoder) runtime() accesslog.Runtime {
	if d.deps.Runtime == nil {
		return nil
	}
	return d.deps.Runtime
}
