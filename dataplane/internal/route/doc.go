// Package route is the compiled route table: which virtual host and route a
// request's headers match, and what is to be done with it. Matching is a pure
// function of the headers and a random number; a Table is immutable.
package route
