// Package manager is the cluster manager: it owns the truth about clusters and
// hosts on the control goroutine, and gives every worker its view of them.
//
// What a worker reads is immutable and behind one atomic pointer for each
// cluster: a change of one cluster costs that cluster, and a host that did not
// change keeps its object, its numbers, its health and its pools. A worker
// makes its own part of a cluster (balancer, pools) when it first uses it.
package manager
