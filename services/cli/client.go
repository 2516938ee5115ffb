package cli

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// maxMessage is what a call may send and receive: the server's limit for a
// manifest is 10 MiB, and lists are paged.
const maxMessage = 64 << 20

// dial connects to the config API. The context that it returns carries the
// token.
func (o *options) dial(ctx context.Context) (context.Context, configv1.ConfigServiceClient, func(), error) {
	token, err := o.findToken()
	if err != nil {
		return nil, nil, nil, err
	}
	creds := insecure.NewCredentials()
	if o.caFile != "" {
		if creds, err = credentials.NewClientTLSFromFile(o.caFile, ""); err != nil {
			return nil, nil, nil, err
		}
	}
	conn, err := grpc.NewClient(o.server, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, nil, nil, err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	return ctx, configv1.NewConfigServiceClient(conn), func() { _ = conn.Close() }, nil
}
