package router

import "github.com/hawser-mesh/hawser/dataplane/internal/stats"

// schema is the router's statistics under "http.<stat_prefix>.".
var schema = stats.NewSchema(
	stats.C("no_cluster"),
	stats.C("no_route"),
	stats.C("passthrough_internal_redirect_bad_location"),
	stats.C("passthrough_internal_redirect_no_route"),
	stats.C("passthrough_internal_redirect_predicate"),
	stats.C("passthrough_internal_redirect_too_many_redirects"),
	stats.C("passthrough_internal_redirect_unsafe_scheme"),
	stats.C("rq_direct_response"),
	stats.C("rq_overload_local_reply"),
	stats.C("rq_redirect"),
	stats.C("rq_reset_after_downstream_response_started"),
	stats.C("rq_total"),
)

const (
	statNoCluster = iota
	statNoRoute
	statPassthroughInternalRedirectBadLocation
	statPassthroughInternalRedirectNoRoute
	statPassthroughInternalRedirectPredicate
	statPassthroughInternalRedirectTooManyRedirects
	statPassthroughInternalRedirectUnsafeScheme
	statRqDirectResponse
	statRqOverloadLocalReply
	statRqRedirect
	statRqResetAfterResponseStarted
	statRqTotal
)
