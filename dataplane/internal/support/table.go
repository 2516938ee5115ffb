package support

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

//go:embed tables/*.txt
var files embed.FS

// Field is what a table says of one field.
type Field struct {
	// Values are the only supported ones; nil: every value.
	Values []string
	// Ignored is why the field is safe to ignore; "": it is supported.
	Ignored string
}

// Table is message -> field -> what is supported.
type Table map[string]map[string]Field

// load reads the embedded tables once.
var load = sync.OnceValues(func() (Table, error) {
	t := Table{}
	names, err := fs.Glob(files, "tables/*.txt")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		text, err := files.ReadFile(n)
		if err != nil {
			return nil, err
		}
		if err := t.add(n, string(text)); err != nil {
			return nil, err
		}
	}
	return t, nil
})

// Load returns the embedded tables; the result is shared and not to be changed.
func Load() (Table, error) { return load() }

// add reads one file.
func (t Table) add(file, text string) error {
	var fields map[string]Field
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, ok := strings.CutSuffix(trimmed, ":")
			if !ok {
				return fmt.Errorf("%s:%d: a message's name ends with a colon", file, i+1)
			}
			if _, double := t[name]; double {
				return fmt.Errorf("%s:%d: %s is described twice", file, i+1, name)
			}
			fields = map[string]Field{}
			t[name] = fields
			continue
		}
		if fields == nil {
			return fmt.Errorf("%s:%d: fields without a message", file, i+1)
		}
		if err := addFields(fields, trimmed); err != nil {
			return fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	return nil
}

func addFields(fields map[string]Field, line string) error {
	if rest, ok := strings.CutPrefix(line, "!"); ok {
		name, reason, _ := strings.Cut(rest, " ")
		if reason == "" {
			return fmt.Errorf("field %s is ignored without a reason", name)
		}
		return addField(fields, name, Field{Ignored: strings.TrimSpace(reason)})
	}
	for w := range strings.FieldsSeq(line) {
		name, values, some := strings.Cut(w, "=")
		f := Field{}
		if some {
			f.Values = strings.Split(values, "|")
		}
		if err := addField(fields, name, f); err != nil {
			return err
		}
	}
	return nil
}

func addField(fields map[string]Field, name string, f Field) error {
	if _, double := fields[name]; double {
		return fmt.Errorf("field %s stands there twice", name)
	}
	fields[name] = f
	return nil
}

// Markdown renders the tables for SUPPORT.md.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("# Supported configuration\n\nMade of `internal/support/tables`. What is not listed is refused, with its path and value.\n")
	messages := make([]string, 0, len(t))
	for m := range t {
		messages = append(messages, m)
	}
	slices.Sort(messages)
	for _, m := range messages {
		fmt.Fprintf(&b, "\n## %s\n\n", m)
		fields := make([]string, 0, len(t[m]))
		for f := range t[m] {
			fields = append(fields, f)
		}
		slices.Sort(fields)
		var plain, more []string
		for _, name := range fields {
			switch f := t[m][name]; {
			case f.Ignored != "":
				more = append(more, fmt.Sprintf("- `%s` is ignored: %s", name, f.Ignored))
			case f.Values != nil:
				plain = append(plain, fmt.Sprintf("`%s` (%s)", name, strings.Join(f.Values, ", ")))
			default:
				plain = append(plain, "`"+name+"`")
			}
		}
		if len(plain)+len(more) == 0 {
			b.WriteString("No fields.\n")
		}
		if len(plain) > 0 {
			b.WriteString(strings.Join(plain, ", ") + "\n")
		}
		if len(more) > 0 {
			if len(plain) > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Join(more, "\n") + "\n")
		}
	}
	return b.String()
}
