// Package assemble puts the resources of xDS into force: it decodes them,
// warms what is new beside what serves, and switches.
//
// Clusters takes CDS and, for each cluster that wants it, EDS. A new or changed
// cluster warms: it waits for its endpoints and for whatever the cluster
// manager waits for; until then the old one serves and, once the process has
// started, CDS is not acknowledged. Listeners takes LDS; a listener waits for
// the route configurations that it names, which Routes gets over RDS and
// shares between all that name them.
//
// A resource that is refused changes nothing, and the others of its update are
// applied. A resource whose content has not changed costs a comparison.
//
// Everything runs on the loop of package client.
package assemble
