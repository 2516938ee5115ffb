// Package cli is the hawser command: every call of the config API for people,
// tables on a terminal and -o json|yaml for programs.
//
// Exit codes: 0 done; 1 failed (server away, not found, not allowed); 2 wrong
// usage; 3 refused, each offending field is listed; 4 committed, but not every
// proxy acknowledged in time.
package cli
