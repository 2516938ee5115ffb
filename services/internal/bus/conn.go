package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/bus/v1"
	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Config says which NATS to use.
type Config struct {
	// Embedded is the server in this process; else URL is used.
	Embedded *Server
	// URL of one or many servers, comma-separated.
	URL string
	// Name tells the server who we are.
	Name string
	// TokenFile and CredentialsFile authenticate; both optional.
	Token           string
	CredentialsFile string
	// CAFile, CertFile and KeyFile for TLS; optional.
	CAFile, CertFile, KeyFile string
	Log                       *slog.Logger
}

// Conn is a connection that reconnects for ever.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger
}

// Connect opens a connection. It returns at once, connected or not; an
// error means that the configuration is wrong.
func Connect(cfg Config) (*Conn, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, time.Second),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		// What cannot be sent now must fail, not wait in memory: the outbox waits.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("nats connected", "server", c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				log.Warn("nats", "error", err, "subject", sub.Subject)
				return
			}
			log.Warn("nats", "error", err)
		}),
	}
	if cfg.Embedded != nil {
		opts = append(opts, cfg.Embedded.InProcess())
	}
	if cfg.Token != "" {
		opts = append(opts, nats.Token(cfg.Token))
	}
	if cfg.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredentialsFile))
	}
	if cfg.CAFile != "" {
		opts = append(opts, nats.RootCAs(cfg.CAFile))
	}
	if cfg.CertFile != "" {
		opts = append(opts, nats.ClientCert(cfg.CertFile, cfg.KeyFile))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("nats %s: %w", cfg.URL, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("nats jetstream: %w", err)
	}
	return &Conn{nc: nc, js: js, log: log}, nil
}

// NATS is the underlying connection, for subscriptions.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// JetStream is for consumers.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Connected tells whether the server answers at present.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Close ends the connection; what is not acknowledged by then was not sent.
func (c *Conn) Close() { c.nc.Close() }

// EnsureStream creates the revision stream, or brings its settings up to
// date. Every start and every loss of the server's files needs it.
func (c *Conn) EnsureStream(ctx context.Context) error {
	_, err := c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        StreamRevisions,
		Description: "Committed revisions of every mesh, with their changes.",
		Subjects:    []string{streamSubjects},
		Storage:     jetstream.FileStorage,
		MaxAge:      maxAge,
		MaxBytes:    maxStreamBytes,
		Duplicates:  duplicateWindow,
		Discard:     jetstream.DiscardOld,
	})
	if err != nil {
		return fmt.Errorf("nats stream %s: %w", StreamRevisions, err)
	}
	return nil
}

// PublishRevision stores one event in the stream and returns when the server
// has it. Publishing the same revision again is harmless.
func (c *Conn) PublishRevision(ctx context.Context, revision *configv1.Revision) error {
	event := &busv1.RevisionEvent{
		Mesh: revision.GetMesh(), Revision: revision, PreviousRevision: revision.GetNumber() - 1,
	}
	data, err := proto.Marshal(event)
	if err != nil {
		return fmt.Errorf("revision %d: %w", revision.GetNumber(), err)
	}
	if len(data) > MaxEventBytes {
		if data, err = proto.Marshal(withoutChanges(event)); err != nil {
			return fmt.Errorf("revision %d: %w", revision.GetNumber(), err)
		}
	}
	msg := &nats.Msg{Subject: RevisionSubject(event.GetMesh()), Data: data}
	id := MessageID(event.GetMesh(), revision.GetNumber())
	_, err = c.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(StreamRevisions))
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		// The server came back without its files.
		if err = c.EnsureStream(ctx); err == nil {
			_, err = c.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(StreamRevisions))
		}
	}
	if err != nil {
		return fmt.Errorf("nats publish revision %s: %w", id, err)
	}
	return nil
}

func withoutChanges(event *busv1.RevisionEvent) *busv1.RevisionEvent {
	r := event.GetRevision()
	return &busv1.RevisionEvent{
		Mesh: event.GetMesh(),
		Revision: &configv1.Revision{
			Number: r.GetNumber(), Mesh: r.GetMesh(), CreateTime: r.GetCreateTime(), Author: r.GetAuthor(),
			ManagedBy: r.GetManagedBy(), Message: r.GetMessage(), StateHash: r.GetStateHash(), ChangeCount: r.GetChangeCount(),
		},
		PreviousRevision: event.GetPreviousRevision(),
		ChangesOmitted:   true,
	}
}
