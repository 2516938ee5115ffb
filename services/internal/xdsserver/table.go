package xdsserver

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"math/bits"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configv1 "github.com/hawser-mesh/hawser/proto/gen/hawser/config/v1"
)

// Ref names a resource of some type.
type Ref struct{ TypeURL, Name string }

// Resource is one xDS resource, marshalled once and shared by all that send
// it. It is immutable.
type Resource struct {
	Name string
	// Version is a hash of the content: the same on every replica.
	Version string
	Body    *anypb.Any
	// Sources are the configured resources that it was made from.
	Sources []*configv1.ResourceRef
	// Refs are resources that a client asks for once it has this one.
	Refs []Ref

	delta *discoveryv3.Resource
	sum   sum
}

// sum is an order-free hash of a set of resources. It is 128 bits wide.
type sum [2]uint64

func (s sum) add(o sum) sum {
	lo, carry := bits.Add64(s[0], o[0], 0)
	hi, _ := bits.Add64(s[1], o[1], carry)
	return sum{lo, hi}
}

func (s sum) sub(o sum) sum {
	lo, borrow := bits.Sub64(s[0], o[0], 0)
	hi, _ := bits.Sub64(s[1], o[1], borrow)
	return sum{lo, hi}
}

func (s sum) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], s[1])
	binary.BigEndian.PutUint64(b[8:], s[0])
	return hex.EncodeToString(b[:])
}

// NewResource marshals a message.
func NewResource(name string, m proto.Message, sources []*configv1.ResourceRef, refs ...Ref) (*Resource, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", m.ProtoReflect().Descriptor().Name(), name, err)
	}
	url := "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
	h := sha256.New()
	h.Write([]byte(url))
	h.Write([]byte{0})
	h.Write(body)
	r := &Resource{
		Name: name, Version: hex.EncodeToString(h.Sum(nil)[:12]),
		Body:    &anypb.Any{TypeUrl: url, Value: body},
		Sources: sources, Refs: refs,
	}
	r.delta = &discoveryv3.Resource{Name: name, Version: r.Version, Resource: r.Body}
	element := sha256.Sum256([]byte(name + "\x00" + r.Version))
	r.sum = sum{binary.BigEndian.Uint64(element[:]), binary.BigEndian.Uint64(element[8:])}
	return r, nil
}

const (
	shardCount = 64
	// A stream that is further behind than this compares whole tables.
	maxLogEntries = 256
	maxLogNames   = 4096
)

// seed makes names fall into shards; any will do, but it must be the same for
// all tables that share shards.
var seed = maphash.MakeSeed()

// Table is an immutable set of resources of one type; nil is the empty one.
// With makes a changed one, which shares what did not change and knows what
// did.
type Table struct {
	shards [shardCount]map[string]*Resource
	size   int
	sum    sum
	// lineage is the same for all tables made of each other by With.
	lineage *byte
	seq     uint64
	log     []logEntry // the changes up to seq, oldest first, without a gap
}

type logEntry struct {
	seq   uint64
	names []string
}

func shard(name string) int { return int(maphash.String(seed, name) % shardCount) }

// Get gives a resource, or nil.
func (t *Table) Get(name string) *Resource {
	if t == nil {
		return nil
	}
	return t.shards[shard(name)][name]
}

// Len is the number of resources.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return t.size
}

// Version is a hash of the content of the whole table.
func (t *Table) Version() string {
	if t == nil {
		return sum{}.String()
	}
	return t.sum.String()
}

// All yields the resources in no order.
func (t *Table) All() iter.Seq[*Resource] {
	return func(yield func(*Resource) bool) {
		if t == nil {
			return
		}
		for _, s := range t.shards {
			for _, r := range s {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// With gives a table in which the named resources are replaced, or removed
// where they are nil. It returns t itself if that changes no version.
func (t *Table) With(changes map[string]*Resource) *Table {
	next := &Table{lineage: new(byte)}
	if t != nil {
		*next = *t
	}
	var copied [shardCount]bool
	var names []string
	touched := false
	for name, r := range changes {
		i := shard(name)
		old := next.shards[i][name]
		if old == r {
			continue
		}
		touched = true
		if !copied[i] {
			next.shards[i], copied[i] = maps.Clone(next.shards[i]), true
			if next.shards[i] == nil {
				next.shards[i] = map[string]*Resource{}
			}
		}
		if old != nil {
			next.sum, next.size = next.sum.sub(old.sum), next.size-1
		}
		if r != nil {
			next.sum, next.size = next.sum.add(r.sum), next.size+1
			next.shards[i][name] = r
		} else {
			delete(next.shards[i], name)
		}
		if old == nil || r == nil || old.Version != r.Version {
			names = append(names, name)
		}
	}
	if !touched {
		return t
	}
	if len(names) > 0 {
		next.seq++
		next.log = appendLog(next.log, logEntry{next.seq, names})
	}
	return next
}

// appendLog copies: the old log stays as it is for those who read it.
func appendLog(log []logEntry, e logEntry) []logEntry {
	total := len(e.names)
	keep := len(log)
	for keep > 0 && len(log)-keep < maxLogEntries-1 && total+len(log[keep-1].names) <= maxLogNames {
		keep--
		total += len(log[keep].names)
	}
	return append(slices.Clone(log[keep:]), e)
}

// changes yields names of which the version may differ between two tables,
// some perhaps twice: from the log where it reaches back, else all.
func changes(from, to *Table) iter.Seq[string] {
	return func(yield func(string) bool) {
		if from == to {
			return
		}
		if from != nil && to != nil && from.lineage == to.lineage && from.seq <= to.seq &&
			(from.seq == to.seq || len(to.log) > 0 && to.log[0].seq <= from.seq+1) {
			for _, e := range to.log {
				if e.seq <= from.seq {
					continue
				}
				for _, name := range e.names {
					if !yield(name) {
						return
					}
				}
			}
			return
		}
		for r := range from.All() {
			if to.Get(r.Name) == nil && !yield(r.Name) {
				return
			}
		}
		for r := range to.All() {
			if !yield(r.Name) {
				return
			}
		}
	}
}

// View is what one class of clients is to have as of a revision of the mesh.
type View struct {
	Revision int64
	Tables   map[string]*Table // by type URL
}

// Table gives the table of a type; of an unknown one the empty table.
func (v *View) Table(typeURL string) *Table {
	if v == nil {
		return nil
	}
	return v.Tables[typeURL]
}
