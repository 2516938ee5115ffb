package settings

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Duration is a time.Duration that is written like "10s".
type Duration time.Duration

// UnmarshalText reads "10s".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText writes "10s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Load fills the struct that into points to. An empty path means no file.
// Fields without a json tag are not settings.
func Load(path, prefix string, environ []string, into any) error {
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := yaml.UnmarshalStrict(data, into); err != nil {
			return fmt.Errorf("%s: %w", path, cleaned(err))
		}
	}
	fields := map[string]reflect.Value{}
	collect(prefix, reflect.ValueOf(into).Elem(), fields)
	var bad []error
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, prefix+"_") {
			continue
		}
		field, ok := fields[name]
		if !ok {
			bad = append(bad, fmt.Errorf("%s: there is no such setting", name))
			continue
		}
		if err := set(field, value); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(bad...)
}

func cleaned(err error) error {
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error unmarshaling JSON: "), "while decoding JSON: "))
}

var words = regexp.MustCompile(`([a-z0-9])([A-Z])`)

func collect(prefix string, v reflect.Value, fields map[string]reflect.Value) {
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		name := prefix + "_" + strings.ToUpper(words.ReplaceAllString(tag, "${1}_${2}"))
		field := v.Field(i)
		if _, text := field.Addr().Interface().(encoding.TextUnmarshaler); field.Kind() == reflect.Struct && !text {
			collect(name, field, fields)
			continue
		}
		fields[name] = field
	}
}

func set(field reflect.Value, value string) error {
	if text, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return text.UnmarshalText([]byte(value))
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(value)
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is not true or false", value)
		}
		field.SetBool(b)
	case reflect.Int, reflect.Int64, reflect.Int32:
		n, err := strconv.ParseInt(value, 10, field.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a number", value)
		}
		field.SetInt(n)
	case reflect.Slice:
		if field.Type().Elem().Kind() != reflect.String {
			return json.Unmarshal([]byte(value), field.Addr().Interface())
		}
		list := slices.DeleteFunc(strings.Split(value, ","), func(s string) bool { return s == "" })
		field.Set(reflect.ValueOf(list))
	default:
		return json.Unmarshal([]byte(value), field.Addr().Interface())
	}
	return nil
}
