package h1

// Error is a violation of the protocol by the peer. Status and Body are what a
// server answers before it closes.
type Error struct {
	Status int
	Body   string
	Detail string // %RESPONSE_CODE_DETAILS%
}

func (e *Error) Error() string { return e.Detail }

// The violations. They are constants: refusing a request allocates nothing.
var (
	errCodec        = &Error{400, "Bad Request", "http1.codec_error"}
	errCharacters   = &Error{400, "Bad Request", "http1.invalid_characters"}
	errURL          = &Error{400, "Bad Request", "http1.invalid_url"}
	errScheme       = &Error{400, "Bad Request", "http1.invalid_scheme"}
	errUnderscore   = &Error{400, "Bad Request", "http1.unexpected_underscore"}
	errConnection   = &Error{400, "Bad Request", "http1.connection_header_rejected"}
	errBoth         = &Error{400, "Bad Request", "http1.content_length_and_chunked_not_allowed"}
	errLengthOnTE   = &Error{400, "Bad Request", "http1.content_length_not_allowed"}
	errTransfer     = &Error{501, "Not Implemented", "http1.invalid_transfer_encoding"}
	errTENotAllowed = &Error{400, "Bad Request", "http1.transfer_encoding_not_allowed"}
	errTooLarge     = &Error{431, "Request Header Fields Too Large", "http1.headers_too_large"}
	errTooMany      = &Error{431, "Request Header Fields Too Large", "http1.too_many_headers"}
	errAuthority    = &Error{400, "Bad Request", "http.invalid_authority"}
	errLowVersion   = &Error{426, "Upgrade Required", "low_version"}
	errBody         = &Error{400, "Bad Request", "http1.body_disallowed"}
	// errFlood: the client pipelines and does not read; it gets no answer.
	errFlood = &Error{0, "", "codec_error:Too_many_responses_queued."}
	// errPremature: the upstream sent something that nobody asked for.
	errPremature = &Error{400, "Bad Request", "http1.unexpected_response"}
)
