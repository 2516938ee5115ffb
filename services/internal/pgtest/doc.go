// Package pgtest runs a real Postgres for the tests of one binary: the one
// that HAWSER_TEST_POSTGRES_URL names, or Debian's programs on a temporary
// directory and a Unix socket. Without either it fails and says what to
// install; nothing is skipped.
package pgtest
