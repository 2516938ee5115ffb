package router

import "github.com/hawser-mesh/hawser/dataplane/internal/network"

// Downstream implements upstream.Context.
func (c *lbContext) Downstream() network.Connection { return c.cb.Connection() }
