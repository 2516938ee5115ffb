package runtime

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Fraction is a share: Numerator of Denominator (100, 10,000 or 1,000,000).
// Source: envoy.type.v3.FractionalPercent.
type Fraction struct{ Numerator, Denominator uint32 }

// Hit says whether a random number falls into the share.
func (f Fraction) Hit(random uint64) bool {
	return random%uint64(max(f.Denominator, 1)) < uint64(f.Numerator)
}

// value is one key's final value in every form that it has.
type value struct {
	text     string
	number   float64
	isNumber bool
	boolean  bool
	isBool   bool
	fraction Fraction
	isFrac   bool
}

// Snapshot is all keys with their final values. It is immutable.
type Snapshot struct {
	layers []Layer
	final  map[string]value
}

// Layer is one layer's keys, nested keys joined with dots.
type Layer struct {
	Name   string
	Admin  bool
	Values map[string]any // string, float64, bool or Fraction
}

// Flatten turns the nested values of a layer (as a JSON object) into dotted
// keys. An object with only "numerator" and "denominator" is a Fraction. Lists
// and nulls are refused.
func Flatten(object map[string]any) (map[string]any, error) {
	out := map[string]any{}
	return out, flatten(out, "", object)
}

func flatten(out map[string]any, prefix string, object map[string]any) error {
	for k, v := range object {
		switch v := v.(type) {
		case map[string]any:
			if f, ok := fraction(v); ok {
				out[prefix+k] = f
				continue
			}
			if err := flatten(out, prefix+k+".", v); err != nil {
				return err
			}
		case string, float64, bool:
			out[prefix+k] = v
		default:
			return fmt.Errorf("Invalid runtime entry value for %s", prefix+k)
		}
	}
	return nil
}

func fraction(object map[string]any) (Fraction, bool) {
	f := Fraction{Denominator: 100}
	if len(object) == 0 {
		return f, false
	}
	for k, v := range object {
		switch k {
		case "numerator":
			n, ok := v.(float64)
			if !ok {
				return f, false
			}
			f.Numerator = uint32(n)
		case "denominator":
			d, ok := v.(string)
			if n, known := denominators[d]; ok && known {
				f.Denominator = n
				continue
			}
			return f, false
		default:
			return f, false
		}
	}
	return f, true
}

var denominators = map[string]uint32{"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}

// NewSnapshot merges layers; later ones win.
func NewSnapshot(layers ...Layer) *Snapshot {
	s := &Snapshot{layers: layers, final: map[string]value{}}
	for _, l := range layers {
		for k, v := range l.Values {
			s.final[k] = parse(v)
		}
	}
	return s
}

func parse(v any) value {
	switch v := v.(type) {
	case bool:
		return value{text: strconv.FormatBool(v), boolean: v, isBool: true}
	case float64:
		return value{text: strconv.FormatFloat(v, 'g', -1, 64), number: v, isNumber: true, boolean: v != 0, isBool: true}
	case Fraction:
		return value{text: v.text(), fraction: v, isFrac: true}
	case string:
		r := value{text: v}
		if b, err := strconv.ParseBool(strings.ToLower(v)); err == nil && len(v) > 1 {
			r.boolean, r.isBool = b, true
		}
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			r.number, r.isNumber = f, true
			r.boolean, r.isBool = f != 0, true
		}
		return r
	}
	return value{text: fmt.Sprint(v)}
}

// text is the fraction as Envoy prints the Struct that it came as.
func (f Fraction) text() string {
	name := "HUNDRED"
	for n, d := range denominators {
		if d == f.Denominator {
			name = n
		}
	}
	return fmt.Sprintf("fields {\n  key: \"denominator\"\n  value {\n    string_value: %q\n  }\n}\nfields {\n  key: \"numerator\"\n  value {\n    number_value: %d\n  }\n}\n", name, f.Numerator)
}

// Len returns the number of keys.
func (s *Snapshot) Len() int { return len(s.final) }

// Get returns a key's text.
func (s *Snapshot) Get(key string) (string, bool) {
	v, ok := s.final[key]
	return v.text, ok
}

// Uint returns a key's whole number, or def if it is absent or no number.
func (s *Snapshot) Uint(key string, def uint64) uint64 {
	if v, ok := s.final[key]; ok && v.isNumber && v.number >= 0 {
		return uint64(v.number)
	}
	return def
}

// Float returns a key's number, or def.
func (s *Snapshot) Float(key string, def float64) float64 {
	if v, ok := s.final[key]; ok && v.isNumber {
		return v.number
	}
	return def
}

// Bool returns a key's boolean, or def.
func (s *Snapshot) Bool(key string, def bool) bool {
	if v, ok := s.final[key]; ok && v.isBool {
		return v.boolean
	}
	return def
}

// Enabled decides by a key, which is a share or a whole number of percent, and
// a random number; without the key by def.
func (s *Snapshot) Enabled(key string, def Fraction, random uint64) bool {
	if v, ok := s.final[key]; ok {
		if v.isFrac {
			return v.fraction.Hit(random)
		}
		if v.isNumber {
			return random%100 < uint64(max(v.number, 0))
		}
	}
	return def.Hit(random)
}

// Layers returns the layers' names, lowest first.
func (s *Snapshot) Layers() []string {
	names := make([]string, 0, len(s.layers))
	for _, l := range s.layers {
		names = append(names, l.Name)
	}
	return names
}

// Entries returns each key's text in every layer, "" where it is absent.
func (s *Snapshot) Entries() map[string][]string {
	out := make(map[string][]string, len(s.final))
	for _, k := range slices.Sorted(maps.Keys(s.final)) {
		texts := make([]string, len(s.layers))
		for i, l := range s.layers {
			if v, ok := l.Values[k]; ok {
				texts[i] = parse(v).text
			}
		}
		out[k] = texts
	}
	return out
}
