package decode

import (
	"crypto/tls"
	"crypto/x509"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/credentials"

	"github.com/hawser-mesh/hawser/dataplane/internal/config"
	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
	"github.com/hawser-mesh/hawser/dataplane/internal/support"
)

// Source decodes a ConfigSource at p, which support.Check has seen.
func Source(c *corev3.ConfigSource, p fieldpath.Path) (*config.Source, error) {
	s := &config.Source{FetchTimeout: duration(c.GetInitialFetchTimeout(), defaultFetchTimeout)}
	switch k := c.GetConfigSourceSpecifier().(type) {
	case *corev3.ConfigSource_Ads, *corev3.ConfigSource_Self:
		s.Kind = config.SourceADS
	case *corev3.ConfigSource_Path:
		s.Kind, s.Path = config.SourcePath, k.Path
	case *corev3.ConfigSource_PathConfigSource:
		s.Kind, s.Path = config.SourcePath, k.PathConfigSource.GetPath()
		s.WatchedDirectory = k.PathConfigSource.GetWatchedDirectory().GetPath()
	case *corev3.ConfigSource_ApiConfigSource:
		switch t := k.ApiConfigSource.GetApiType(); t {
		case corev3.ApiConfigSource_AGGREGATED_GRPC, corev3.ApiConfigSource_AGGREGATED_DELTA_GRPC:
			s.Kind = config.SourceADS
			return s, nil
		}
		g, err := GRPCSource(k.ApiConfigSource, p.Field("api_config_source"))
		if err != nil {
			return nil, err
		}
		s.Kind, s.GRPC = config.SourceGRPC, g
	default:
		return nil, p.Errorf("config_source_specifier is required")
	}
	return s, nil
}

// The defaults of ApiConfigSource.
const (
	defaultRateTokens = 100
	defaultRate       = 10
)

// GRPCSource decodes an ApiConfigSource at p.
func GRPCSource(a *corev3.ApiConfigSource, p fieldpath.Path) (*config.GRPCSource, error) {
	g := &config.GRPCSource{NodeOnFirstOnly: a.GetSetNodeOnFirstMessageOnly()}
	if r := a.GetRateLimitSettings(); r != nil {
		g.RateLimit, g.RateTokens, g.RatePerSecond = true, u32(r.GetMaxTokens(), defaultRateTokens), defaultRate
		if r.GetFillRate() != nil {
			g.RatePerSecond = r.GetFillRate().GetValue()
		}
	}
	switch a.GetApiType() {
	case corev3.ApiConfigSource_DELTA_GRPC, corev3.ApiConfigSource_AGGREGATED_DELTA_GRPC:
		g.Delta = true
	}
	switch {
	case len(a.GetClusterNames()) > 0:
		return nil, p.Field("cluster_names").Errorf("%s must not have a cluster name specified: use grpc_services", a.GetApiType())
	case len(a.GetGrpcServices()) == 0:
		return nil, p.Field("grpc_services").Errorf("%s must have a gRPC service specified", a.GetApiType())
	case len(a.GetGrpcServices()) > 1:
		return nil, p.Field("grpc_services").Errorf("has %d services, only one is supported", len(a.GetGrpcServices()))
	}
	s, err := GRPCService(a.GetGrpcServices()[0], p.Field("grpc_services").Index(0))
	if err != nil {
		return nil, err
	}
	g.Service = *s
	return g, nil
}

// GRPCService decodes a GrpcService at p, which support.Check has seen.
func GRPCService(s *corev3.GrpcService, p fieldpath.Path) (*config.GRPCService, error) {
	g := &config.GRPCService{Timeout: duration(s.GetTimeout(), 0)}
	hash, _, err := hashOf(s)
	if err != nil {
		return nil, p.Wrap(err)
	}
	g.Hash = hash
	for _, h := range s.GetInitialMetadata() {
		g.Metadata = append(g.Metadata, config.HeaderValue{Name: h.GetKey(), Value: h.GetValue() + string(h.GetRawValue())})
	}
	retry := s.GetRetryPolicy()
	switch k := s.GetTargetSpecifier().(type) {
	case *corev3.GrpcService_EnvoyGrpc_:
		g.EnvoyCluster, g.Authority = k.EnvoyGrpc.GetClusterName(), k.EnvoyGrpc.GetAuthority()
		if k.EnvoyGrpc.GetRetryPolicy() != nil {
			retry = k.EnvoyGrpc.GetRetryPolicy()
		}
	case *corev3.GrpcService_GoogleGrpc_:
		g.GoogleTarget, g.StatPrefix = k.GoogleGrpc.GetTargetUri(), k.GoogleGrpc.GetStatPrefix()
		if g.Credentials, err = channelCredentials(k.GoogleGrpc.GetChannelCredentials(), p.Field("google_grpc.channel_credentials")); err != nil {
			return nil, err
		}
	}
	if b := retry.GetRetryBackOff(); b != nil {
		g.BackOffBase = b.GetBaseInterval().AsDuration()
		g.BackOffMax = duration(b.GetMaxInterval(), 10*g.BackOffBase)
	}
	return g, nil
}

// channelCredentials makes gRPC credentials; nil is no encryption.
func channelCredentials(c *corev3.GrpcService_GoogleGrpc_ChannelCredentials, p fieldpath.Path) (any, error) {
	switch k := c.GetCredentialSpecifier().(type) {
	case *corev3.GrpcService_GoogleGrpc_ChannelCredentials_GoogleDefault:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), nil
	case *corev3.GrpcService_GoogleGrpc_ChannelCredentials_SslCredentials:
		return sslCredentials(k.SslCredentials, p.Field("ssl_credentials"))
	}
	return nil, nil
}

func sslCredentials(s *corev3.GrpcService_GoogleGrpc_SslCredentials, p fieldpath.Path) (any, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := support.Data(s.GetRootCerts(), p.Field("root_certs"))
	if err != nil {
		return nil, err
	}
	if len(roots) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(roots) {
			return nil, p.Field("root_certs").Errorf("has no certificate")
		}
	}
	key, err := support.Data(s.GetPrivateKey(), p.Field("private_key"))
	if err != nil {
		return nil, err
	}
	chain, err := support.Data(s.GetCertChain(), p.Field("cert_chain"))
	if err != nil {
		return nil, err
	}
	if len(key)+len(chain) > 0 {
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, p.Field("cert_chain").Wrap(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(c), nil
}
