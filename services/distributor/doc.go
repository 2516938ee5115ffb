// Package distributor is the service that proxies and gRPC clients get their
// configuration from: it reads the mesh from the config API and the bus,
// compiles it (internal/compile), serves it by xDS (internal/xdsserver) and
// reports what clients answer.
//
// Guarantees:
//   - Every committed revision is served, in order, none in part; when many
//     came at once, perhaps only the last of them.
//   - Nothing is served before the mesh was read whole once: a distributor
//     that starts without a config API takes nothing from a proxy.
//   - With the bus away it asks the config API every second; with the config
//     API away it serves on and follows the bus as long as that has no gap.
//   - A silent difference to the config API's state is found by the state
//     hash, at the latest within hashInterval, and repaired.
//   - What a client acknowledged or refused reaches the config API within a
//     second, and is told again whole after a reconnect.
//
// Limits: one mesh, held in memory.
package distributor
