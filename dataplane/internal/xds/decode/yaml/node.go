package yaml

import "fmt"

// kind is what a node is.
type kind uint8

const (
	nullNode kind = iota
	boolNode
	numberNode // text as it was written
	stringNode
	listNode
	objectNode
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// node is a value of JSON or YAML. A tree may share nodes (anchors).
type node struct {
	kind kind
	text string
	yes  bool
	keys []string // of an object, one for each item
	item []*node
	line int
}

func (n *node) get(key string) *node {
	for i, k := range n.keys {
		if k == key {
			return n.item[i]
		}
	}
	return nil
}

// show is a node in an error.
func (n *node) show() string {
	switch n.kind {
	case boolNode:
		return fmt.Sprint(n.yes)
	case numberNode:
		return n.text
	case stringNode:
		return fmt.Sprintf("%q", n.text)
	}
	return n.kind.String()
}

// maxDepth bounds nesting, so that hostile input cannot exhaust the stack.
const maxDepth = 100

// maxNodes bounds the tree that anchors expand to.
const maxNodes = 50_000_000
