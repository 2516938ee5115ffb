// Command protodeps writes the source form of the third-party protos that
// ours import, from the descriptors that their Go modules carry. So code
// generation needs no network and no vendored copy: the versions are those
// of go.mod.
//
// Usage: protodeps DIR
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: protodeps DIR")
		os.Exit(2)
	}
	for _, file := range []protoreflect.FileDescriptor{
		annotations.File_google_api_http_proto,
		annotations.File_google_api_annotations_proto,
	} {
		path := filepath.Join(os.Args[1], file.Path())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := os.WriteFile(path, []byte(source(file)), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// source prints a proto3 file that has messages, oneofs, scalar and message
// fields and extensions: all that the annotation files use.
func source(file protoreflect.FileDescriptor) string {
	var b strings.Builder
	fmt.Fprintf(&b, "syntax = \"proto3\";\n\npackage %s;\n\n", file.Package())
	for i := range file.Imports().Len() {
		fmt.Fprintf(&b, "import %q;\n", file.Imports().Get(i).Path())
	}
	fmt.Fprintf(&b, "\noption go_package = \"google.golang.org/genproto/googleapis/api/annotations;annotations\";\n")
	for i := range file.Messages().Len() {
		message(&b, file.Messages().Get(i))
	}
	for i := range file.Extensions().Len() {
		ext := file.Extensions().Get(i)
		fmt.Fprintf(&b, "\nextend %s {\n", ext.ContainingMessage().FullName())
		field(&b, "  ", ext)
		b.WriteString("}\n")
	}
	return b.String()
}

func message(b *strings.Builder, m protoreflect.MessageDescriptor) {
	fmt.Fprintf(b, "\nmessage %s {\n", m.Name())
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); f.ContainingOneof() == nil {
			field(b, "  ", f)
		}
	}
	for i := range m.Oneofs().Len() {
		one := m.Oneofs().Get(i)
		fmt.Fprintf(b, "  oneof %s {\n", one.Name())
		for j := range one.Fields().Len() {
			field(b, "    ", one.Fields().Get(j))
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
}

func field(b *strings.Builder, indent string, f protoreflect.FieldDescriptor) {
	kind := f.Kind().String()
	if f.Message() != nil {
		kind = "." + string(f.Message().FullName())
	}
	if f.Cardinality() == protoreflect.Repeated {
		kind = "repeated " + kind
	}
	fmt.Fprintf(b, "%s%s %s = %d;\n", indent, kind, f.Name(), f.Number())
}
