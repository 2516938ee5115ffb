// Package rollout keeps what distributors report of their proxies and
// answers which of them have a resource, and who rejected it and why.
//
// It is soft state: when a config API starts, distributors connect and tell
// everything again. A proxy that two distributors report (it moved) counts
// once: the younger connection is right.
//
// Limits: a distributor that went away keeps its proxies for Grace, for it
// is most likely restarting and they go on with what they have; a proxy that
// disconnected is listed for Memory.
package rollout
