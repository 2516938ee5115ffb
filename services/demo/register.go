package demo

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Registration is how a service keeps itself in the mesh.
type Registration struct {
	Server    string // the config API's gRPC address
	Token     func() (string, error)
	Namespace string
	Workload  string // unique in the namespace
	Labels    map[string]string
	Address   string // IP address that the proxies reach
	Port      int
	TTL       time.Duration
}

// retryAfter is how long a failed heartbeat waits.
const retryAfter = time.Second

// Run sends heartbeats until the context ends. It never gives up: the control
// plane may start later, restart, or be away for a while.
func (r *Registration) Run(ctx context.Context, log *slog.Logger) error {
	conn, err := grpc.NewClient(r.Server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	api := configv1.NewConfigServiceClient(conn)
	workload, err := r.resource()
	if err != nil {
		return err
	}
	registered := false
	for {
		wait, err := r.beat(ctx, api, workload)
		switch {
		case err == nil && !registered:
			log.Info("registered", "workload", r.Namespace+"/"+r.Workload, "address", fmt.Sprintf("%s:%d", r.Address, r.Port))
			registered = true
		case err != nil && ctx.Err() == nil:
			if registered || status.Code(err) != codes.Unavailable {
				log.Warn("heartbeat failed, trying again", "error", err)
			}
			registered = false
			wait = retryAfter
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (r *Registration) beat(ctx context.Context, api configv1.ConfigServiceClient, workload *configv1.Resource) (time.Duration, error) {
	token, err := r.Token()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), 5*time.Second)
	defer cancel()
	resp, err := api.Heartbeat(ctx, &configv1.HeartbeatRequest{Namespace: r.Namespace, Name: r.Workload, Workload: workload})
	if err != nil {
		return 0, err
	}
	return max(resp.GetInterval().AsDuration(), 100*time.Millisecond), nil
}

func (r *Registration) resource() (*configv1.Resource, error) {
	spec, err := structpb.NewStruct(map[string]any{
		"address": r.Address,
		"ports":   map[string]any{"http": r.Port},
		"ttl":     r.TTL.String(),
	})
	if err != nil {
		return nil, err
	}
	return &configv1.Resource{
		ApiVersion: "hawser.dev/v1", Kind: "Workload",
		Metadata: &configv1.Metadata{Name: r.Workload, Namespace: r.Namespace, Labels: r.Labels},
		Spec:     spec,
	}, nil
}
