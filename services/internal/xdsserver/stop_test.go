package xdsserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// oneView is a Source that has one view for all.
type oneView struct{ view *View }

func (o oneView) View(*corev3.Node) (*View, <-chan struct{}) { return o.view, nil }

type nobody struct{}

func (nobody) Connected(Client)      {}
func (nobody) Status(Client, Status) {}
func (nobody) Disconnected(Client)   {}

// pipe is a client that asks for clusters and then says nothing.
type pipe struct {
	ctx   context.Context
	asked bool
}

func (p *pipe) Context() context.Context { return p.ctx }
func (p *pipe) send(*Response) error     { return nil }
func (p *pipe) receive() (*Request, *corev3.Node, error) {
	if !p.asked {
		p.asked = true
		return &Request{TypeURL: TypeCluster}, &corev3.Node{Id: "n"}, nil
	}
	<-p.ctx.Done()
	return nil, nil, p.ctx.Err()
}

// TestStopSpreads: at a stop streams end one after the other, within the
// time that was given; without one all at once; new ones are refused.
func TestStopSpreads(t *testing.T) {
	for _, spread := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			const streams = 100
			s := New(Config{Source: oneView{viewOf(t, 1)}, Observer: nobody{}})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ends := make(chan time.Duration, streams)
			var stopped time.Time
			for range streams {
				go func() {
					if err := s.serve(&pipe{ctx: ctx}, Delta, ""); status.Code(err) != codes.Unavailable {
						t.Errorf("a stream ended with %v", err)
					}
					ends <- time.Since(stopped)
				}()
			}
			synctest.Wait()
			stopped = time.Now()
			s.StopWithin(spread)
			if err := s.serve(&pipe{ctx: ctx}, Delta, ""); status.Code(err) != codes.Unavailable {
				t.Errorf("a new stream: %v", err)
			}
			early, late := 0, 0
			for range streams {
				switch at := <-ends; {
				case at > spread:
					t.Errorf("a stream ended after %v", at)
				case at <= spread/2:
					early++
				default:
					late++
				}
			}
			if spread > 0 && (early < streams/5 || late < streams/5) {
				t.Errorf("%d streams ended in the first half, %d in the second", early, late)
			}
		})
	}
}
