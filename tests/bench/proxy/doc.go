// Command proxy measures Hawser's data plane beside its peers: each proxy in
// turn does the same work in one run, and what counts is the ratio of the
// medians. CPU is the kernel's accounting of the proxy process, in µs for each
// request: on a shared machine times mean little, CPU time means something.
//
//	go run ./bench/proxy -proxies hawser,haproxy-tcp,haproxy,nginx,envoy -rounds 5
//
// It needs wrk, and the peers that are named (Debian: wrk nginx-light haproxy;
// Envoy from PyPI, see tools/setup.sh). Nothing here ever fails a test.
package main
