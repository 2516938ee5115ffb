package server

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hawser-mesh/hawser/dataplane/internal/admin"
	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/hcm"
	"github.com/hawser-mesh/hawser/dataplane/internal/listener"
	"github.com/hawser-mesh/hawser/dataplane/internal/route"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport"
	"github.com/hawser-mesh/hawser/dataplane/internal/transport/tls"
)

// startAdmin opens the administration's listener on the control loop.
func (s *Server) startAdmin() error {
	a := s.boot.Admin
	if a == nil {
		return nil
	}
	logs, err := s.decoder.AdminLogs(s.boot)
	if err != nil {
		return err
	}
	f := &adminFactory{handler: admin.New(s.adminSources(), s.allowed()), quit: func(f func()) {
		// The answer leaves first: flushes run at the end of the loop's turn.
		s.threads.after(10*time.Millisecond, f)
	}}
	o := &hcm.Options{
		StatPrefix: "admin", Listener: "admin", Routes: hcm.FixedRoutes{Table: new(route.Table)},
		Filters: []hcm.NamedFilter{{Name: "admin", Factory: f}}, AccessLogs: logs, UseRemoteAddress: true,
		HTTP1: config.HTTP1Options{MaxHeaders: 100, MaxHeadersKiB: 60}, MaxHeadersKiB: 60,
		HTTP2:        config.HTTP2Options{},
		DelayedClose: time.Second, DrainTimeout: 100 * time.Millisecond,
	}
	// It counts under listener.admin, but is none of the listener manager's.
	c := s.listenerConfig([]*event.Worker{s.threads.control}, s.store)
	c.Unlisted, c.Drain = true, nil
	s.adminPort = listener.NewManager(c)
	s.adminPort.Start()
	err = s.adminPort.Update(&config.Listener{
		Name: "admin", StatPrefix: "admin", Address: a.Address, SocketMode: a.SocketMode, BindToPort: true, BufferLimit: 1 << 20,
		FilterChains: []*config.FilterChain{{
			Transport: transport.RawFactory{},
			Filters:   []config.NetworkFilter{{Name: "hcm", Factory: hcm.NewFactory(o, s.store, len(s.threads.workers)+1, s.codecs)}},
		}},
	})
	if err != nil {
		return err
	}
	if path := s.opts.AdminAddressPath; path != "" {
		for _, l := range s.adminPort.Snapshot() {
			if err := os.WriteFile(path, []byte(l.Bound[0].String()), 0o644); err != nil { //nolint:gosec // who may read it is the operator's choice
				return fmt.Errorf("cannot open admin address output file %s for writing: %w", path, err)
			}
		}
	}
	return nil
}

// allowed is allow_paths; nil allows everything.
func (s *Server) allowed() func(string) bool {
	paths := s.boot.Admin.AllowPaths
	if len(paths) == 0 {
		return nil
	}
	return func(target string) bool {
		for i := range paths {
			if paths[i].Match(target) {
				return true
			}
		}
		return false
	}
}

func (s *Server) adminSources() admin.Sources {
	return admin.Sources{
		Stats: s.store, Tagger: s.boot.Stats.Tagger, Buckets: s.boot.Stats.Buckets, Interval: s.store.Snapshot, Flush: s.refresh,
		Server: s, Clusters: s.clusterStatus, Listeners: s.listenerStatus, Runtime: s.runtime, Logging: s.loggers,
		Certs: s.certificates, Dump: s.dump,
	}
}

func (s *Server) clusterStatus() []admin.ClusterStatus {
	var list []admin.ClusterStatus
	for _, c := range s.manager.Snapshot() {
		if c.Warming {
			continue
		}
		x := admin.ClusterStatus{
			Name: c.Config.Name, ObservabilityName: c.Config.StatName, AddedViaAPI: c.Config.AddedViaAPI,
			Breakers: c.Config.Breakers, Hosts: c.Hosts,
		}
		if c.Config.Discovery == config.EDS && c.Config.EDSName != c.Config.Name {
			x.EDSName = c.Config.EDSName
		}
		list = append(list, x)
	}
	return list
}

func (s *Server) listenerStatus() []admin.ListenerStatus {
	var list []admin.ListenerStatus
	for _, l := range s.listeners.Snapshot() {
		list = append(list, admin.ListenerStatus{Name: l.Config.Name, Addresses: l.Bound})
	}
	return list
}

// certificates lists those of all TLS contexts in force.
func (s *Server) certificates() []admin.Certificate {
	var list []admin.Certificate
	add := func(x any) {
		f, ok := x.(*tls.Factory)
		if !ok || f.Certificates() == nil {
			return
		}
		c := f.Certificates()
		var cas []admin.CertificateDetails
		if c.Validation != nil {
			for _, ca := range c.Validation.CACerts {
				cas = append(cas, certificateDetails(ca, c.Validation.CAPath))
			}
		}
		if len(c.Certificates) == 0 && len(cas) > 0 {
			list = append(list, admin.Certificate{CA: cas})
		}
		for _, cert := range c.Certificates {
			out := admin.Certificate{CA: cas}
			if leaf, err := x509.ParseCertificate(cert.Certificate.Certificate[0]); err == nil {
				out.Chain = append(out.Chain, certificateDetails(leaf, cert.Path))
			}
			list = append(list, out)
		}
	}
	for _, l := range s.listeners.Snapshot() {
		for _, fc := range l.Config.FilterChains {
			add(fc.Transport)
		}
		if l.Config.DefaultChain != nil {
			add(l.Config.DefaultChain.Transport)
		}
	}
	for _, c := range s.manager.Snapshot() {
		add(c.Config.Transport)
		for _, m := range c.Config.Matches {
			add(m.Transport)
		}
	}
	return list
}

func certificateDetails(c *x509.Certificate, path string) admin.CertificateDetails {
	d := admin.CertificateDetails{Path: path, Serial: fmt.Sprintf("%x", c.SerialNumber), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
	if path == "" {
		d.Path = "<inline>"
	}
	for _, n := range c.DNSNames {
		d.SANs = append(d.SANs, admin.SAN{Kind: "dns", Value: n})
	}
	for _, u := range c.URIs {
		d.SANs = append(d.SANs, admin.SAN{Kind: "uri", Value: u.String()})
	}
	for _, ip := range c.IPAddresses {
		d.SANs = append(d.SANs, admin.SAN{Kind: "ip_address", Value: net.IP.String(ip)})
	}
	return d
}

// Info implements admin.Server.
func (s *Server) Info() any {
	o := s.opts
	mode := map[bool]adminv3.CommandLineOptions_Mode{true: adminv3.CommandLineOptions_Validate}[o.Mode == 1]
	strategy := adminv3.CommandLineOptions_Gradual
	if o.DrainImmediate {
		strategy = adminv3.CommandLineOptions_Immediate
	}
	up := durationpb.New(time.Since(s.started).Truncate(time.Second))
	info := &adminv3.ServerInfo{
		Version: s.version, State: adminv3.ServerInfo_State(s.State()), UptimeCurrentEpoch: up, UptimeAllEpochs: up,
		HotRestartVersion: s.HotRestartVersion(), Node: s.boot.Node,
		CommandLineOptions: &adminv3.CommandLineOptions{
			BaseId: uint64(o.BaseID), Concurrency: uint32(o.Concurrency), ConfigPath: o.ConfigPath, ConfigYaml: o.ConfigYAML, //nolint:gosec // small
			AllowUnknownStaticFields: o.AllowUnknownStatic, RejectUnknownDynamicFields: o.RejectUnknownDynamic,
			AdminAddressPath: o.AdminAddressPath, LogLevel: o.LogLevel, LogFormat: o.LogFormat, LogPath: o.LogPath,
			ServiceCluster: o.ServiceCluster, ServiceNode: o.ServiceNode, ServiceZone: o.ServiceZone,
			FileFlushInterval: durationpb.New(o.FileFlush), DrainTime: durationpb.New(o.DrainTime),
			ParentShutdownTime: durationpb.New(o.ParentShutdownTime), DisableHotRestart: !o.HotRestart,
			RestartEpoch: o.RestartEpoch, CpusetThreads: o.CPUSetThreads, DisabledExtensions: o.DisableExtensions,
			IgnoreUnknownDynamicFields: o.IgnoreUnknownDynamic, Mode: mode, DrainStrategy: strategy,
			SocketPath: o.SocketPath, SocketMode: o.SocketMode,
		},
	}
	data, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(info)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return json.RawMessage(data)
}

// HotRestartVersion implements admin.Server; there is no hot restart through
// shared memory.
func (s *Server) HotRestartVersion() string { return "disabled" }

// FailHealthChecks implements admin.Server.
func (s *Server) FailHealthChecks(fail bool) { s.healthFailed.Store(fail) }

// DrainListeners implements admin.Server.
func (s *Server) DrainListeners(o admin.DrainOptions) {
	which := func(l *config.Listener) bool { return !o.InboundOnly || l.Direction == "inbound" }
	stop := func() { s.listeners.StopAccepting(which) }
	if !o.Graceful {
		stop()
		return
	}
	if !o.InboundOnly {
		s.drain.Begin(time.Now())
	}
	if o.SkipExit {
		return
	}
	s.threads.after(s.opts.DrainTime, stop)
}

// ReopenLogs implements admin.Server.
func (s *Server) ReopenLogs() {
	s.files.Reopen()
	if err := s.loggers.Reopen(); err != nil {
		s.log.Errorf("the log file cannot be opened again: %v", err)
	}
}

// Quit implements admin.Server.
func (s *Server) Quit() {
	s.log.Infof("shutting down server instance")
	s.threads.control.Stop()
}

// Unready implements admin.Server.
func (s *Server) Unready() []string {
	if s.running {
		return nil
	}
	var list []string
	for _, c := range s.xClusters.Dump().Warming {
		list = append(list, "init manager Server: target cluster "+c.Config.Name)
	}
	for _, l := range s.xListeners.Dump().Listeners {
		if l.Warming != nil {
			list = append(list, "init manager Server: target listener "+l.Name)
		}
	}
	return list
}
