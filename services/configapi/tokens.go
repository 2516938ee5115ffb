package configapi

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
	"github.com/hawser-mesh/hawser/services/internal/auth"
	"github.com/hawser-mesh/hawser/services/internal/resource"
	"github.com/hawser-mesh/hawser/services/internal/store"
)

// bootstrapName is the name of the token that the configuration gives.
const bootstrapName = "bootstrap"

// authenticate finds who a secret belongs to.
func (s *Server) authenticate(ctx context.Context, secret string) (auth.Identity, error) {
	refused := status.Error(codes.Unauthenticated, "the token is not valid")
	if secret == "" {
		return auth.Identity{}, status.Error(codes.Unauthenticated, "a token is needed: authorization: Bearer TOKEN")
	}
	if len(secret) > 512 {
		return auth.Identity{}, refused
	}
	if s.bootstrap != nil && auth.Matches(secret, s.bootstrap) {
		return auth.Identity{Name: bootstrapName, Role: auth.Admin}, nil
	}
	var k *store.Token
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		k, err = tx.TokenByID(auth.ID(secret))
		return err
	})
	if status.Code(err) == codes.NotFound {
		return auth.Identity{}, refused
	}
	if err != nil {
		return auth.Identity{}, err
	}
	now := s.cfg.Now()
	switch {
	case !auth.Matches(secret, k.Hash):
		return auth.Identity{}, refused
	case !k.Revoked.IsZero():
		return auth.Identity{Name: k.Name}, status.Error(codes.Unauthenticated, "the token was revoked")
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return auth.Identity{Name: k.Name}, status.Error(codes.Unauthenticated, "the token has expired")
	}
	role, err := auth.ParseRole(k.Role)
	if err != nil {
		return auth.Identity{}, s.asStatus(err)
	}
	return auth.Identity{Name: k.Name, Role: role, Namespaces: k.Namespaces}, nil
}

// weak refuses a token that proves who calls but not that they may.
func (s *Server) weak(id auth.Identity, role auth.Role, namespace string) error {
	where := "all namespaces"
	if namespace != "" {
		where = "namespace " + namespace
	}
	return status.Errorf(codes.PermissionDenied, "token %s (%s) lacks role %s in %s", id.Name, id.Role, role, where)
}

// CreateToken implements ConfigService.
func (a *api) CreateToken(ctx context.Context, req *configv1.CreateTokenRequest) (*configv1.CreateTokenResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Admin {
		return nil, a.s.weak(id, auth.Admin, "")
	}
	role, err := auth.ParseRole(req.GetRole())
	var bad resource.Violations
	if err != nil {
		bad = append(bad, resource.Violation{Field: "role", Message: err.Error()})
	}
	if !resource.ValidNamespace(req.GetName()) || req.GetName() == bootstrapName {
		bad = append(bad, resource.Violation{Field: "name", Message: "must be a DNS label and not " + bootstrapName})
	}
	for _, ns := range req.GetNamespaces() {
		if !resource.ValidNamespace(ns) {
			bad = append(bad, resource.Violation{Field: "namespaces", Message: ns + " is not a DNS label"})
		}
	}
	if l := req.GetLifetime(); l != nil && (l.CheckValid() != nil || l.AsDuration() <= 0) {
		bad = append(bad, resource.Violation{Field: "lifetime", Message: "must be longer than zero"})
	}
	if len(bad) > 0 {
		return nil, invalid(bad)
	}
	if len(req.GetNamespaces()) == 0 && !id.Everywhere() {
		return nil, a.s.weak(id, auth.Admin, "")
	}
	for _, ns := range req.GetNamespaces() {
		if !id.May(auth.Admin, ns) {
			return nil, a.s.weak(id, auth.Admin, ns)
		}
	}
	secret, now := auth.New(), a.s.cfg.Now()
	k := &store.Token{
		Name: req.GetName(), ID: auth.ID(secret), Hash: auth.Hash(secret), Role: role.String(),
		Namespaces: req.GetNamespaces(), Created: now, CreatedBy: id.Name,
	}
	if req.GetLifetime() != nil {
		k.Expires = now.Add(req.GetLifetime().AsDuration())
	}
	err = a.s.audited(ctx, func(tx *store.Tx) error { return tx.CreateToken(k) })
	if errors.Is(err, store.ErrExists) {
		return nil, status.Errorf(codes.AlreadyExists, "there is a token %s already", k.Name)
	}
	if err != nil {
		return nil, a.s.asStatus(err)
	}
	return &configv1.CreateTokenResponse{Token: tokenView(k), Secret: secret}, nil
}

// audited runs a write that makes no revision, with its audit record.
func (s *Server) audited(ctx context.Context, fn func(*store.Tx) error) error {
	st, err := s.openStore()
	if err != nil {
		return err
	}
	err = st.Update(ctx, s.cfg.Mesh, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Audit(s.auditRecord(ctx, identity(ctx).Name, codes.OK, "", 0, nil))
	})
	if err == nil {
		noteAudited(ctx)
	}
	return err
}

func tokenView(k *store.Token) *configv1.Token {
	stamp := func(t time.Time) *timestamppb.Timestamp {
		if t.IsZero() {
			return nil
		}
		return timestamppb.New(t)
	}
	return &configv1.Token{
		Name: k.Name, Role: k.Role, Namespaces: k.Namespaces, CreatedBy: k.CreatedBy,
		CreateTime: stamp(k.Created), ExpireTime: stamp(k.Expires), RevokeTime: stamp(k.Revoked),
	}
}

// covers tells whether an admin is over all that a token is for.
func covers(id auth.Identity, k *store.Token) bool {
	if id.Role < auth.Admin || len(k.Namespaces) == 0 && !id.Everywhere() {
		return false
	}
	return !slices.ContainsFunc(k.Namespaces, func(ns string) bool { return !id.May(auth.Admin, ns) })
}

// ListTokens implements ConfigService.
func (a *api) ListTokens(ctx context.Context, _ *configv1.ListTokensRequest) (*configv1.ListTokensResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Admin {
		return nil, a.s.weak(id, auth.Admin, "")
	}
	answer := &configv1.ListTokensResponse{}
	err := a.s.view(ctx, func(tx *store.Tx) error {
		list, err := tx.Tokens()
		for _, k := range list {
			if covers(id, k) {
				answer.Tokens = append(answer.Tokens, tokenView(k))
			}
		}
		return err
	})
	return answer, err
}

// RevokeToken implements ConfigService.
func (a *api) RevokeToken(ctx context.Context, req *configv1.RevokeTokenRequest) (*configv1.RevokeTokenResponse, error) {
	id := identity(ctx)
	if id.Role < auth.Admin {
		return nil, a.s.weak(id, auth.Admin, "")
	}
	err := a.s.audited(ctx, func(tx *store.Tx) error {
		k, err := tx.TokenByName(req.GetName())
		if err != nil {
			return err
		}
		if !covers(id, k) {
			return a.s.weak(id, auth.Admin, "")
		}
		return tx.RevokeToken(req.GetName(), a.s.cfg.Now())
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, status.Errorf(codes.NotFound, "there is no valid token %s", req.GetName())
	}
	return &configv1.RevokeTokenResponse{}, a.s.asStatus(err)
}

// ListAudit implements ConfigService.
func (a *api) ListAudit(ctx context.Context, req *configv1.ListAuditRequest) (*configv1.ListAuditResponse, error) {
	if id := identity(ctx); id.Role < auth.Admin || !id.Everywhere() {
		return nil, a.s.weak(id, auth.Admin, "")
	}
	size, below, err := numberPage(req)
	if err != nil {
		return nil, err
	}
	answer := &configv1.ListAuditResponse{}
	err = a.s.view(ctx, func(tx *store.Tx) (err error) {
		answer.Records, err = tx.AuditRecords(below, size+1)
		return err
	})
	if len(answer.GetRecords()) > size {
		answer.Records = answer.Records[:size]
		answer.NextPageToken = itoa(answer.Records[size-1].GetId())
	}
	return answer, err
}
