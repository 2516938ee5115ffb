//go:build linux

package event

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hawser-mesh/hawser/dataplane/internal/address"
)

// Sockets is the System of the real kernel.
type Sockets struct{}

// Read implements System.
func (Sockets) Read(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, e := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), 0
	}
}

// Peek implements System.
func (Sockets) Peek(fd int, p []byte) (int, syscall.Errno) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK)
	if err != nil {
		return 0, errnoOf(err)
	}
	return n, 0
}

// maxPieces is how many pieces one Write passes to the kernel.
const maxPieces = 64

// Write implements System.
func (Sockets) Write(fd int, pieces [][]byte) (int, syscall.Errno) {
	var v [maxPieces]unix.Iovec
	k := 0
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		if k == maxPieces {
			break
		}
		v[k].Base = &p[0]
		v[k].SetLen(len(p))
		k++
	}
	if k == 0 {
		return 0, 0
	}
	for {
		var n uintptr
		var e syscall.Errno
		if k == 1 {
			// MSG_NOSIGNAL is not needed: Go ignores SIGPIPE on sockets.
			n, _, e = syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(v[0].Base)), uintptr(v[0].Len))
		} else {
			n, _, e = syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(k))
		}
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), 0
	}
}

// Accept implements System.
func (Sockets) Accept(fd int) (int, address.Address, syscall.Errno) {
	nfd, sa, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, address.Address{}, errnoOf(err)
	}
	if _, unixSocket := sa.(*unix.SockaddrUnix); !unixSocket {
		_ = unix.SetsockoptInt(nfd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return nfd, fromSockaddr(sa), 0
}

// Listen implements System.
func (s Sockets) Listen(a address.Address, o ListenOptions) (int, error) {
	fd, sa, err := s.socket(a)
	if err != nil {
		return -1, err
	}
	if err := prepareListener(fd, a, o); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if err := unix.Bind(fd, sa); err != nil {
		_ = unix.Close(fd)
		return -1, bindError(a, err)
	}
	if a.Path() != "" && o.Mode != 0 && a.Path()[0] != '@' {
		if err := os.Chmod(a.Path(), os.FileMode(o.Mode)); err != nil {
			_ = unix.Close(fd)
			return -1, err
		}
	}
	backlog := o.Backlog
	if backlog <= 0 {
		backlog = unix.SOMAXCONN
	}
	if err := unix.Listen(fd, backlog); err != nil {
		_ = unix.Close(fd)
		return -1, bindError(a, err)
	}
	return fd, nil
}

func prepareListener(fd int, a address.Address, o ListenOptions) error {
	set := func(level, name int) error { return unix.SetsockoptInt(fd, level, name, 1) }
	if a.IsIP() {
		if err := set(unix.SOL_SOCKET, unix.SO_REUSEADDR); err != nil {
			return fmt.Errorf("SO_REUSEADDR on %s: %w", a, err)
		}
		if o.ReusePort {
			if err := set(unix.SOL_SOCKET, unix.SO_REUSEPORT); err != nil {
				return fmt.Errorf("SO_REUSEPORT on %s: %w", a, err)
			}
		}
		if a.IP().Is6() {
			_ = set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		}
	}
	if o.Transparent {
		level, name := unix.SOL_IP, unix.IP_TRANSPARENT
		if a.IP().Is6() {
			level, name = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
		}
		if err := set(level, name); err != nil {
			return fmt.Errorf("transparent socket on %s: %w", a, err)
		}
	}
	if o.FreeBind {
		level, name := unix.SOL_IP, unix.IP_FREEBIND
		if a.IP().Is6() {
			level, name = unix.SOL_IPV6, unix.IPV6_FREEBIND
		}
		if err := set(level, name); err != nil {
			return fmt.Errorf("freebind on %s: %w", a, err)
		}
	}
	for _, opt := range o.Options {
		if err := (Sockets{}).SetOption(fd, opt); err != nil {
			return err
		}
	}
	return nil
}

// bindError words a failure as Envoy does.
func bindError(a address.Address, err error) error {
	text := err.Error()
	if errno, ok := err.(syscall.Errno); ok && errno == unix.EADDRINUSE { //nolint:errorlint // unix returns it unwrapped
		text = "Address already in use"
	}
	if errors.Is(err, unix.EACCES) {
		text = "Permission denied"
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		text = "Cannot assign requested address"
	}
	return fmt.Errorf("cannot bind '%s': %s", a, text)
}

// Connect implements System.
func (s Sockets) Connect(a address.Address, o ConnectOptions) (int, error) {
	fd, sa, err := s.socket(a)
	if err != nil {
		return -1, err
	}
	if a.IsIP() {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	for _, opt := range o.Options {
		if err := s.SetOption(fd, opt); err != nil {
			_ = unix.Close(fd)
			return -1, err
		}
	}
	if o.Source.IsValid() {
		if err := unix.Bind(fd, toSockaddr(o.Source)); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("binding to source address %s: %w", o.Source, err)
		}
	}
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (Sockets) socket(a address.Address) (int, unix.Sockaddr, error) {
	family := unix.AF_INET
	switch {
	case !a.IsIP():
		family = unix.AF_UNIX
	case a.IP().Is6():
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("socket for %s: %w", a, err)
	}
	return fd, toSockaddr(a), nil
}

// SocketError implements System.
func (Sockets) SocketError(fd int) syscall.Errno {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return errnoOf(err)
	}
	return syscall.Errno(n)
}

// ShutdownWrite implements System.
func (Sockets) ShutdownWrite(fd int) syscall.Errno { return errnoOf(unix.Shutdown(fd, unix.SHUT_WR)) }

// Reset implements System.
func (Sockets) Reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// Close implements System.
func (Sockets) Close(fd int) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// LocalAddress implements System.
func (Sockets) LocalAddress(fd int) address.Address {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return address.Address{}
	}
	return fromSockaddr(sa)
}

// SetOption implements System.
func (Sockets) SetOption(fd int, o SocketOption) error {
	if err := unix.SetsockoptString(fd, o.Level, o.Name, string(o.Value)); err != nil {
		return fmt.Errorf("socket option level %d name %d: %w", o.Level, o.Name, err)
	}
	return nil
}

// Option implements System.
func (Sockets) Option(fd, level, name int, value []byte) (int, error) {
	size := uint32(len(value))
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return 0, e
	}
	return int(size), nil
}

func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return 0
}

func toSockaddr(a address.Address) unix.Sockaddr {
	if !a.IsIP() {
		return &unix.SockaddrUnix{Name: a.Path()}
	}
	if a.IP().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.IP().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.IP().As16()}
	return sa
}

func fromSockaddr(sa unix.Sockaddr) address.Address {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return address.FromIP(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return address.FromIP(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrUnix:
		return address.FromPath(sa.Name)
	}
	return address.Address{}
}
