// Command distributor measures the control plane of `hawser up`: the time
// from a write to the config API until 1, 100 and 1,000 delta clients
// acknowledged it, in a mesh of 1,000 services with five endpoints each, what
// a client costs in memory, and what clients are sent that reconnect.
//
//	go run ./bench/distributor [-clients 1,100,1000] [-services 1000] [-writes 50]
//
// Clients run in this process and the control plane in another, on the same
// processors.
package main
