// Package auth holds the rules of API tokens: what a secret looks like, how
// it is kept, and what a role may do. It is pure but for the random numbers
// of New.
//
// A secret has 256 random bits, so its plain SHA-256 is what is stored:
// there is nothing to guess that a slow hash would protect.
package auth
