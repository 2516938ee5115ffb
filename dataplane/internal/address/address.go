// Package address names the ends of connections: an IP address and port, or
// the path of a unix socket. Values are comparable and immutable.
package address

import (
	"net/netip"
	"strconv"
)

// Address is one end of a connection. The zero value is "no address".
type Address struct {
	ip   netip.AddrPort
	path string
}

// FromIP returns the address of an IP and port. IPv4-mapped IPv6 addresses
// become IPv4.
func FromIP(a netip.AddrPort) Address {
	return Address{ip: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
}

// FromPath returns the address of a unix socket; a first byte '@' means
// Linux's abstract name space.
func FromPath(path string) Address { return Address{path: path} }

// IsValid says whether a is an address at all.
func (a Address) IsValid() bool { return a.ip.IsValid() || a.path != "" }

// IsIP says whether a is an IP and port.
func (a Address) IsIP() bool { return a.ip.IsValid() }

// AddrPort returns the IP and port; the zero value for a unix socket.
func (a Address) AddrPort() netip.AddrPort { return a.ip }

// IP returns the IP; the zero value for a unix socket.
func (a Address) IP() netip.Addr { return a.ip.Addr() }

// Port returns the port; 0 for a unix socket.
func (a Address) Port() uint16 { return a.ip.Port() }

// Path returns the path of a unix socket, or "".
func (a Address) Path() string { return a.path }

// String returns "10.0.0.1:80", "[::1]:80" or the path, as Envoy prints it.
func (a Address) String() string {
	if a.ip.IsValid() {
		return a.ip.String()
	}
	return a.path
}

// AppendIP appends the IP without the port.
func (a Address) AppendIP(b []byte) []byte {
	if !a.ip.IsValid() {
		return append(b, a.path...)
	}
	return a.ip.Addr().AppendTo(b)
}

// AppendPort appends the port in decimal.
func (a Address) AppendPort(b []byte) []byte {
	return strconv.AppendUint(b, uint64(a.ip.Port()), 10)
}
