package envoyjson

import (
	"errors"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// validate applies the rules that Envoy's messages carry. They do not reach
// into Any: that is done where an Any is decoded.
func (d *decoder) validate(path string, m proto.Message) {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return
	}
	if err := v.ValidateAll(); err != nil {
		d.flatten(path, err)
	}
}

// flatten turns the nested errors of protoc-gen-validate into problems.
func (d *decoder) flatten(path string, err error) {
	var many interface{ AllErrors() []error }
	if errors.As(err, &many) {
		for _, one := range many.AllErrors() {
			d.flatten(path, one)
		}
		return
	}
	var one interface {
		Field() string
		Reason() string
		Cause() error
	}
	if !errors.As(err, &one) {
		d.fail(path, "%v", err)
		return
	}
	at := path + "." + snake(one.Field())
	if one.Cause() != nil {
		d.flatten(at, one.Cause())
		return
	}
	d.fail(at, "%s", one.Reason())
}

var upper = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake turns the Go name of a field into the proto's: LbPolicy[0] to
// lb_policy[0].
func snake(name string) string {
	return strings.ToLower(upper.ReplaceAllString(name, "${1}_${2}"))
}

// secrets refuses private keys in the configuration: what is stored is kept
// in history for ever, sent over the bus and shown to every reader.
func (d *decoder) secrets(at string, m protoreflect.Message) {
	if m.Descriptor().FullName() != "envoy.extensions.transport_sockets.tls.v3.TlsCertificate" {
		return
	}
	for _, name := range []protoreflect.Name{"private_key", "pkcs12", "password"} {
		field := m.Descriptor().Fields().ByName(name)
		if field == nil || !m.Has(field) {
			continue
		}
		source := m.Get(field).Message()
		set := source.WhichOneof(source.Descriptor().Oneofs().ByName("specifier"))
		if set != nil && strings.HasPrefix(string(set.Name()), "inline_") {
			d.fail(at+"."+string(name)+"."+string(set.Name()),
				"a private key must not be in the configuration; give filename or environment_variable")
		}
	}
}
