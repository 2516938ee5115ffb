package decode

import (
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/matcher"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
)

// duration is d, or def where it is not given.
func duration(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}

// optional is d, or nil where it is not given.
func optional(d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	v := d.AsDuration()
	return &v
}

func u32(v *wrapperspb.UInt32Value, def uint32) uint32 {
	if v == nil {
		return def
	}
	return v.GetValue()
}

func boolean(v *wrapperspb.BoolValue, def bool) bool {
	if v == nil {
		return def
	}
	return v.GetValue()
}

// ipAddress decodes an Address that must be an IP or a unix socket.
func ipAddress(a *corev3.Address, p fieldpath.Path) (address.Address, error) {
	addr, host, _, err := anyAddress(a, p)
	if err == nil && host != "" {
		return addr, p.Field("socket_address.address").Errorf("malformed IP address: %s. Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'", host)
	}
	return addr, err
}

// anyAddress decodes an Address; a name that is no IP comes as host and port.
func anyAddress(a *corev3.Address, p fieldpath.Path) (addr address.Address, host string, port uint16, err error) {
	switch k := a.GetAddress().(type) {
	case *corev3.Address_Pipe:
		return address.FromPath(k.Pipe.GetPath()), "", 0, nil
	case *corev3.Address_SocketAddress:
		return socketAddress(k.SocketAddress, p.Field("socket_address"))
	}
	return addr, "", 0, p.Errorf("an address is required")
}

func socketAddress(s *corev3.SocketAddress, p fieldpath.Path) (addr address.Address, host string, port uint16, err error) {
	if s.GetNamedPort() != "" {
		return addr, "", 0, p.Field("named_port").Errorf("is not supported: %s", s.GetNamedPort())
	}
	port = uint16(s.GetPortValue())
	ip, perr := netip.ParseAddr(s.GetAddress())
	if perr != nil {
		return addr, s.GetAddress(), port, nil
	}
	return address.FromIP(netip.AddrPortFrom(ip, port)), "", port, nil
}

// ranges decodes CidrRanges; host bits are cleared.
func ranges(list []*corev3.CidrRange, p fieldpath.Path) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, r := range list {
		ip, err := netip.ParseAddr(r.GetAddressPrefix())
		if err != nil {
			return nil, p.Index(i).Field("address_prefix").Errorf("malformed IP address: %s", r.GetAddressPrefix())
		}
		bits := min(int(r.GetPrefixLen().GetValue()), ip.BitLen())
		prefix, err := ip.Prefix(bits)
		if err != nil {
			return nil, p.Index(i).Wrap(err)
		}
		out = append(out, prefix)
	}
	return out, nil
}

func metadata(m *corev3.Metadata) config.Metadata {
	if len(m.GetFilterMetadata()) == 0 {
		return nil
	}
	out := make(config.Metadata, len(m.GetFilterMetadata()))
	for k, v := range m.GetFilterMetadata() {
		out[k] = v.AsMap()
	}
	return out
}

func locality(l *corev3.Locality) config.Locality {
	return config.Locality{Region: l.GetRegion(), Zone: l.GetZone(), SubZone: l.GetSubZone()}
}

func denominator(d typev3.FractionalPercent_DenominatorType) uint32 {
	switch d {
	case typev3.FractionalPercent_TEN_THOUSAND:
		return 10_000
	case typev3.FractionalPercent_MILLION:
		return 1_000_000
	}
	return 100
}

func fraction(f *corev3.RuntimeFractionalPercent) *route.RuntimeFraction {
	if f == nil {
		return nil
	}
	return &route.RuntimeFraction{
		Key: f.GetRuntimeKey(), Numerator: f.GetDefaultValue().GetNumerator(), Denominator: denominator(f.GetDefaultValue().GetDenominator()),
	}
}

var regex = matcher.FullRegex

// bindSource is the source address of upstream connections.
type bindSource struct {
	addr  address.Address
	given bool
}

func bindConfig(b *corev3.BindConfig, p fieldpath.Path) (bindSource, error) {
	if b == nil || b.GetSourceAddress() == nil {
		return bindSource{given: b != nil}, nil
	}
	addr, host, _, err := socketAddress(b.GetSourceAddress(), p.Field("source_address"))
	if err == nil && host != "" {
		err = p.Field("source_address.address").Errorf("malformed IP address: %s", host)
	}
	return bindSource{addr, true}, err
}
