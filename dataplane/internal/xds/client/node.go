package client

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// ExtensionInfo is one extension that the process has.
type ExtensionInfo struct {
	Name, Category string
	TypeURLs       []string
}

// The Envoy release whose behaviour we have. Control planes decide by it what
// to send; Consul sends nothing useful to any other name.
const (
	userAgent  = "envoy"
	agentMajor = 1
	agentMinor = 40
)

// Node completes the bootstrap's node with what the process knows of itself.
// It returns a copy.
func Node(base *corev3.Node, build string, extensions []ExtensionInfo) *corev3.Node {
	n := proto.CloneOf(base)
	if n == nil {
		n = new(corev3.Node)
	}
	n.UserAgentName = userAgent
	n.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
		Version: &typev3.SemanticVersion{MajorNumber: agentMajor, MinorNumber: agentMinor},
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"build.type":      structpb.NewStringValue("RELEASE"),
			"build.label":     structpb.NewStringValue("hawser"),
			"revision.sha":    structpb.NewStringValue(build),
			"ssl.version":     structpb.NewStringValue("Go"),
			"revision.status": structpb.NewStringValue("Clean"),
		}},
	}}
	n.Extensions = nil
	for _, e := range extensions {
		n.Extensions = append(n.Extensions, &corev3.Extension{Name: e.Name, Category: e.Category, TypeUrls: e.TypeURLs})
	}
	n.ClientFeatures = append(n.ClientFeatures,
		"envoy.lb.does_not_support_overprovisioning", "envoy.lrs.supports_send_all_clusters", "xds.config.resource-in-sotw")
	return n
}
