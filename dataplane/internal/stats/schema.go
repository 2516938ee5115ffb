package stats

// Kind says what a statistic is.
type Kind uint8

// The kinds. Counters only grow; gauges go up and down; histograms take values
// in the unit that Def.Unit names.
const (
	KindCounter Kind = iota
	KindGauge
	KindHistogram
)

// Unit is the unit of a histogram's values.
type Unit uint8

// The units of histograms.
const (
	UnitNone Unit = iota
	UnitMilliseconds
	UnitMicroseconds
	UnitBytes
	UnitPercent
)

// Def is one statistic of a Schema; Name is the part after the group's prefix.
type Def struct {
	Name string
	Kind Kind
	Unit Unit
}

// C, G and H are short forms for tables of definitions.
func C(name string) Def { return Def{Name: name} }

// G defines a gauge.
func G(name string) Def { return Def{Name: name, Kind: KindGauge} }

// H defines a histogram.
func H(name string, unit Unit) Def { return Def{Name: name, Kind: KindHistogram, Unit: unit} }

// Schema is the list of statistics of one kind of component. It is made once
// and never changes.
type Schema struct {
	defs  []Def
	slot  []uint32 // offset of a counter or gauge, or number of a histogram
	slots uint32
	hists uint32
}

// NewSchema lays the statistics out. The index of a definition is what
// Group.Counter, Gauge and Histogram take.
func NewSchema(defs ...Def) *Schema {
	s := &Schema{defs: defs, slot: make([]uint32, len(defs))}
	for i, d := range defs {
		switch d.Kind {
		case KindCounter:
			s.slot[i] = s.slots
			s.slots++
		case KindGauge: // the value and whether it was ever written
			s.slot[i] = s.slots
			s.slots += 2
		case KindHistogram:
			s.slot[i] = s.hists
			s.hists++
		}
	}
	return s
}

// Defs returns the definitions in order; do not change them.
func (s *Schema) Defs() []Def { return s.defs }
