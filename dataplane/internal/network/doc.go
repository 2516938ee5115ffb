// Package network holds the L4 connection and the contract of network
// filters.
//
// A connection belongs to one worker; all its methods and callbacks run there.
// Bytes flow: socket -> transport (plaintext or TLS) -> read buffer -> read
// filters -> ... -> write filters -> write buffer -> transport -> socket.
// Write never touches the socket: the write buffer is flushed once at the end
// of the worker's turn, so that a response that is written in parts leaves in
// one system call.
package network
