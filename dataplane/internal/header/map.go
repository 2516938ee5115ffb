package header

import (
	"bytes"
	"strings"
	"unsafe"
)

// Entry is one header line. Name is in lower case.
type Entry struct {
	Name, Value string
}

// Map is an ordered list of header lines. The zero value is an empty map.
// A Map belongs to one goroutine.
type Map struct {
	entries []Entry
	ids     []byte // entries[i] has the ID ids[i]
	size    int    // bytes of all names and values
	arena   arena
	next    *Map // free list of Pool
}

// Len returns the number of lines, pseudo-headers included.
func (m *Map) Len() int { return len(m.entries) }

// ByteSize returns the bytes of all names and values together.
func (m *Map) ByteSize() int { return m.size }

// At returns line i, 0 <= i < Len().
func (m *Map) At(i int) Entry { return m.entries[i] }

// IDAt returns the ID of line i.
func (m *Map) IDAt(i int) ID { return ID(m.ids[i]) }

// Reset removes all lines; strings handed out before are invalid from now on.
func (m *Map) Reset() {
	clear(m.entries)
	m.entries, m.ids, m.size = m.entries[:0], m.ids[:0], 0
	m.arena.reset()
}

// Add appends a line, copying both strings; name must be in lower case.
func (m *Map) Add(name, value string) {
	id := Lookup(name)
	if id != Other {
		name = names[id]
	} else {
		name = m.arena.copy(name)
	}
	m.add(id, name, m.arena.copy(value))
}

// AddBytes is Add for byte slices, which are copied.
func (m *Map) AddBytes(name, value []byte) { m.Add(view(name), view(value)) }

// AddID appends a line with a well-known name, copying value.
func (m *Map) AddID(id ID, value string) { m.add(id, names[id], m.arena.copy(value)) }

// AddRef appends a line without copying: both strings must outlive the map
// (constants, configuration). name must be in lower case.
func (m *Map) AddRef(name, value string) { m.add(Lookup(name), name, value) }

// AddIDRef appends a well-known line without copying value.
func (m *Map) AddIDRef(id ID, value string) { m.add(id, names[id], value) }

// add appends a line; a header of which there can be only one line grows by a
// comma and the value instead.
func (m *Map) add(id ID, name, value string) {
	if single[id] {
		if i := m.index(id); i >= 0 {
			m.setAt(i, m.arena.copy(m.entries[i].Value+","+value))
			return
		}
	}
	m.entries = append(m.entries, Entry{name, value})
	m.ids = append(m.ids, byte(id))
	m.size += len(name) + len(value)
}

// index returns the first line with the ID, or -1.
func (m *Map) index(id ID) int { return bytes.IndexByte(m.ids, byte(id)) }

// HasID says whether there is a line with the ID.
func (m *Map) HasID(id ID) bool { return m.index(id) >= 0 }

// GetID returns the value of the first line with the ID, or "".
func (m *Map) GetID(id ID) string {
	if i := m.index(id); i >= 0 {
		return m.entries[i].Value
	}
	return ""
}

// CountID returns the number of lines with the ID.
func (m *Map) CountID(id ID) int { return bytes.Count(m.ids, []byte{byte(id)}) }

// Get returns the value of the first line with the lower-case name.
func (m *Map) Get(name string) (string, bool) {
	if i := m.find(name, 0); i >= 0 {
		return m.entries[i].Value, true
	}
	return "", false
}

// Has says whether there is a line with the lower-case name.
func (m *Map) Has(name string) bool { return m.find(name, 0) >= 0 }

// Values calls f with the value of each line of that name, in order, until f
// returns false.
func (m *Map) Values(name string, f func(string) bool) {
	for i := m.find(name, 0); i >= 0; i = m.find(name, i+1) {
		if !f(m.entries[i].Value) {
			return
		}
	}
}

// Joined returns all values of the name joined with ","; it allocates only
// when the line is repeated.
func (m *Map) Joined(name string) (string, bool) {
	i := m.find(name, 0)
	if i < 0 {
		return "", false
	}
	v := m.entries[i].Value
	j := m.find(name, i+1)
	if j < 0 {
		return v, true
	}
	all := []string{v}
	for ; j >= 0; j = m.find(name, j+1) {
		all = append(all, m.entries[j].Value)
	}
	return strings.Join(all, ","), true
}

func (m *Map) find(name string, from int) int {
	if id := Lookup(name); id != Other {
		if i := bytes.IndexByte(m.ids[from:], byte(id)); i >= 0 {
			return from + i
		}
		return -1
	}
	for i := from; i < len(m.entries); i++ {
		if m.ids[i] == byte(Other) && m.entries[i].Name == name {
			return i
		}
	}
	return -1
}

// SetID replaces all lines of a well-known name by one with a copy of value,
// in the place of the first; without one it appends.
func (m *Map) SetID(id ID, value string) { m.setID(id, m.arena.copy(value)) }

// SetIDRef is SetID without copying value.
func (m *Map) SetIDRef(id ID, value string) { m.setID(id, value) }

func (m *Map) setID(id ID, value string) {
	i := m.index(id)
	if i < 0 {
		m.add(id, names[id], value)
		return
	}
	m.setAt(i, value)
	m.removeFrom(i+1, func(j int) bool { return m.ids[j] == byte(id) })
}

// Set replaces all lines of a lower-case name by one with copies of name and
// value, in the place of the first; without one it appends.
func (m *Map) Set(name, value string) {
	if id := Lookup(name); id != Other {
		m.SetID(id, value)
		return
	}
	i := m.find(name, 0)
	if i < 0 {
		m.Add(name, value)
		return
	}
	m.setAt(i, m.arena.copy(value))
	m.removeFrom(i+1, func(j int) bool { return m.ids[j] == byte(Other) && m.entries[j].Name == name })
}

// SetAt replaces the value of line i by a copy of value.
func (m *Map) SetAt(i int, value string) { m.setAt(i, m.arena.copy(value)) }

func (m *Map) setAt(i int, value string) {
	m.size += len(value) - len(m.entries[i].Value)
	m.entries[i].Value = value
}

// RemoveID removes all lines with the ID and returns how many there were.
func (m *Map) RemoveID(id ID) int {
	i := m.index(id)
	if i < 0 {
		return 0
	}
	return m.removeFrom(i, func(j int) bool { return m.ids[j] == byte(id) })
}

// Remove removes all lines of the lower-case name and returns their number.
func (m *Map) Remove(name string) int {
	if id := Lookup(name); id != Other {
		return m.RemoveID(id)
	}
	i := m.find(name, 0)
	if i < 0 {
		return 0
	}
	return m.removeFrom(i, func(j int) bool { return m.ids[j] == byte(Other) && m.entries[j].Name == name })
}

// RemoveIf removes the lines for which f is true and returns their number.
func (m *Map) RemoveIf(f func(id ID, e Entry) bool) int {
	return m.removeFrom(0, func(j int) bool { return f(ID(m.ids[j]), m.entries[j]) })
}

func (m *Map) removeFrom(i int, drop func(int) bool) int {
	k := i
	for j := i; j < len(m.entries); j++ {
		if drop(j) {
			m.size -= len(m.entries[j].Name) + len(m.entries[j].Value)
			continue
		}
		if k != j {
			m.entries[k], m.ids[k] = m.entries[j], m.ids[j]
		}
		k++
	}
	n := len(m.entries) - k
	clear(m.entries[k:])
	m.entries, m.ids = m.entries[:k], m.ids[:k]
	return n
}

// CopyFrom replaces the lines of m by copies of the lines of o.
func (m *Map) CopyFrom(o *Map) {
	m.Reset()
	for i, e := range o.entries {
		id := ID(o.ids[i])
		name := e.Name
		if id == Other {
			name = m.arena.copy(name)
		}
		m.add(id, name, m.arena.copy(e.Value))
	}
}

func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
