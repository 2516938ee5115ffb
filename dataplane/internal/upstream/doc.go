// Package upstream is the contract between whoever sends requests (router,
// TCP proxy, callouts) and the cluster manager: clusters as one worker sees
// them, hosts, and connection pools. Subpackages implement it.
//
// A Cluster belongs to one worker. Hosts are shared by all workers; what
// changes on them is atomic.
package upstream
