// Package pool holds the connections of one worker to one host: for HTTP/1 one
// request at a time on each, for HTTP/2 many.
//
// A request that finds no connection with room waits in order, while a new
// connection is made if the breakers allow it. When making one fails, all that
// wait fail with it: they would only wait for the same end. On a warm pool a
// request allocates nothing.
package pool
