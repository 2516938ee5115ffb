// Package compile turns the configured resources of a mesh into what each
// class of xDS clients is to have. It is pure: no I/O, no clock.
//
//	Service      -> Cluster and ClusterLoadAssignment "hawser/NAMESPACE/NAME/PORT", one a port
//	Workload     -> an endpoint in those of the Services that select it
//	Gateway      -> Listener "hawser/gateway/PORT", shared by the Gateways of the port, and
//	                RouteConfiguration "hawser/gateway/PORT", for HTTPS "hawser/gateway/PORT/HOSTNAME"
//	HTTPRoute    -> routes in those, or, of a Service, in the virtual host of the Service
//	EnvoyResource-> itself
//
// Classes of clients, from the node:
//   - gRPC clients (user_agent_name starts with "gRPC") get, for each HTTP port
//     of each Service, a Listener with an api_listener and a
//     RouteConfiguration, both named "hawser/NAMESPACE/NAME/PORT": the target
//     is xds:///hawser/default/catalog/80.
//   - Sidecars (metadata "hawser.dev/mode": "sidecar", or a node.cluster that
//     Options names) get one Listener "hawser/outbound" with a virtual host
//     for each HTTP port of each Service: NAME.NAMESPACE:PORT, the first port
//     also as NAME.NAMESPACE, and in their own namespace (metadata
//     "hawser.dev/namespace", default "default") NAME and NAME:PORT. They get
//     only the Gateways that name their node.cluster.
//   - All others are gateways: they get the Gateways that name their
//     node.cluster or none.
//
// All get the clusters, and the EnvoyResources that select them.
//
// Guarantees: what Apply makes of a sequence of changes is what New and Apply
// of the result would make; names that start with "hawser/" are only made
// here (package resource refuses them in EnvoyResources); a change costs what
// depends on it; changed endpoints change nothing but the assignment.
package compile
