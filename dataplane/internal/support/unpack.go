package support

import (
	"errors"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hawser-mesh/hawser/dataplane/internal/fieldpath"
)

// Unpack decodes what an Any at p holds into m and checks it: its type, the
// rules that the message carries, and the tables.
func Unpack(a *anypb.Any, m proto.Message, p fieldpath.Path) error {
	if a == nil {
		return p.Errorf("is missing; %s is wanted", m.ProtoReflect().Descriptor().FullName())
	}
	if a.MessageName() != m.ProtoReflect().Descriptor().FullName() {
		return p.Errorf("is a %s, not a %s", a.MessageName(), m.ProtoReflect().Descriptor().FullName())
	}
	if err := proto.Unmarshal(a.Value, m); err != nil {
		return p.Errorf("broken %s: %w", a.MessageName(), err)
	}
	if err := Validate(m, p); err != nil {
		return err
	}
	return Check(m, p)
}

// Validate applies the rules that Envoy's messages carry
// (protoc-gen-validate); all that are broken are joined, with their paths.
// They do not reach into Any.
func Validate(m proto.Message, p fieldpath.Path) error {
	quick, ok := m.(interface{ Validate() error })
	if !ok || quick.Validate() == nil {
		return nil
	}
	all, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return p.Wrap(quick.Validate())
	}
	var errs []error
	flatten(p, all.ValidateAll(), &errs)
	return errors.Join(errs...)
}

// flatten turns the nested errors of protoc-gen-validate into errors with
// paths.
func flatten(p fieldpath.Path, err error, out *[]error) {
	var many interface{ AllErrors() []error }
	if errors.As(err, &many) {
		for _, one := range many.AllErrors() {
			flatten(p, one, out)
		}
		return
	}
	var one interface {
		Field() string
		Reason() string
		Cause() error
	}
	if !errors.As(err, &one) {
		*out = append(*out, p.Wrap(err))
		return
	}
	at := p.Field(snake(one.Field()))
	if one.Cause() != nil {
		flatten(at, one.Cause(), out)
		return
	}
	*out = append(*out, at.Errorf("%s", one.Reason()))
}

var upper = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake turns the Go name of a field into the proto's: LbPolicy[0] to
// lb_policy[0].
func snake(name string) string {
	return strings.ToLower(upper.ReplaceAllString(name, "${1}_${2}"))
}
