package fault

// Source says which side caused an error.
type Source uint8

// The sources.
const (
	Internal Source = iota
	Downstream
	Upstream
)

func (s Source) String() string {
	return [...]string{"internal", "downstream", "upstream"}[s]
}

// Kind is the class of an error.
type Kind uint8

// The kinds.
const (
	KindInternal  Kind = iota // a fault of our own
	KindProtocol              // the peer broke its protocol
	KindTransport             // socket or TLS error
	KindTimeout
	KindOverflow // a configured limit was reached
	KindConfig   // what the configuration says cannot be done
)

// Error is an error on the request path. Detail is one of Envoy's response
// code details or connection termination details; it is a constant, so that
// reporting an error formats nothing.
type Error struct {
	Kind      Kind
	Source    Source
	Retryable bool // trying elsewhere cannot repeat a side effect
	Flag      Flag
	Detail    string
	Err       error // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Source.String() + ": " + e.Detail + ": " + e.Err.Error()
	}
	return e.Source.String() + ": " + e.Detail
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
