package xdsserver

import (
	"slices"
)

// nameSet is a sorted list: a third of a map's memory, for thousands of
// clients with a thousand names each.
type nameSet []string

func (n nameSet) has(name string) bool {
	_, ok := slices.BinarySearch(n, name)
	return ok
}

// add puts a name in; one that is there is replaced by the same text in
// another place.
func (n *nameSet) add(name string) {
	i, ok := slices.BinarySearch(*n, name)
	if ok {
		(*n)[i] = name
		return
	}
	*n = slices.Insert(*n, i, name)
}

// addAll is add for many.
func (n *nameSet) addAll(names []string) {
	if len(names) < 8 {
		for _, name := range names {
			n.add(name)
		}
		return
	}
	all := slices.Concat(*n, names)
	slices.Sort(all)
	*n = slices.Clip(slices.Compact(all))
}

func (n *nameSet) remove(name string) bool {
	i, ok := slices.BinarySearch(*n, name)
	if ok {
		*n = slices.Delete(*n, i, i+1)
	}
	return ok
}
