package server

import (
	"time"

	"github.com/hawser-mesh/hawser/dataplane/internal/event"
	"github.com/hawser-mesh/hawser/dataplane/internal/network"
	"github.com/hawser-mesh/hawser/dataplane/internal/streaminfo"
)

// connectionInfo describes a connection for its listener's access logs; c is
// nil when no filter chain matched.
func connectionInfo(w *event.Worker, info *network.Info, c *network.Conn) *streaminfo.Info {
	i := &streaminfo.Info{
		Conn: info, Start: info.Start, End: time.Now(), LogType: "TcpConnectionEnd", Random: w.Rand.Uint64(),
		BytesReceived: info.BytesReceived, BytesSent: info.BytesSent,
	}
	if c != nil {
		i.ConnectionID = c.ID()
	} else {
		i.Details = "filter_chain_not_found"
	}
	return i
}
