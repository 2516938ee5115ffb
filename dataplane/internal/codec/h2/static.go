package h2

import "github.com/hawser-mesh/hawser/dataplane/internal/header"

// staticEntries is the size of the static table (RFC 7541 appendix A).
const staticEntries = 61

// staticIndex returns the index of a line in the static table: of the name
// alone, or of name and value (exact); 0 when the name is not in it.
func staticIndex(id header.ID, name, value string) (index int, exact bool) {
	switch id {
	case header.Other:
		return staticOther(name), false
	case header.Authority:
		return 1, false
	case header.Method:
		switch value {
		case "GET":
			return 2, true
		case "POST":
			return 3, true
		}
		return 2, false
	case header.Path:
		switch value {
		case "/":
			return 4, true
		case "/index.html":
			return 5, true
		}
		return 4, false
	case header.Scheme:
		switch value {
		case "http":
			return 6, true
		case "https":
			return 7, true
		}
		return 6, false
	case header.Status:
		return staticStatus(value)
	case header.AcceptEncoding:
		return 16, value == "gzip, deflate"
	}
	return staticKnown(id), false
}

func staticStatus(value string) (int, bool) {
	switch value {
	case "200":
		return 8, true
	case "204":
		return 9, true
	case "206":
		return 10, true
	case "304":
		return 11, true
	case "400":
		return 12, true
	case "404":
		return 13, true
	case "500":
		return 14, true
	}
	return 8, false
}

func staticKnown(id header.ID) int {
	switch id {
	case header.Accept:
		return 19
	case header.Authorization:
		return 23
	case header.ContentLength:
		return 28
	case header.ContentType:
		return 31
	case header.Cookie:
		return 32
	case header.Date:
		return 33
	case header.Expect:
		return 35
	case header.Host:
		return 38
	case header.Location:
		return 46
	case header.Referer:
		return 51
	case header.Server:
		return 54
	case header.SetCookie:
		return 55
	case header.TransferEncoding:
		return 57
	case header.UserAgent:
		return 58
	case header.Via:
		return 60
	}
	return 0
}

func staticOther(name string) int {
	switch name {
	case "accept-charset":
		return 15
	case "accept-language":
		return 17
	case "accept-ranges":
		return 18
	case "access-control-allow-origin":
		return 20
	case "age":
		return 21
	case "allow":
		return 22
	case "cache-control":
		return 24
	case "content-disposition":
		return 25
	case "content-encoding":
		return 26
	case "content-language":
		return 27
	case "content-location":
		return 29
	case "content-range":
		return 30
	case "etag":
		return 34
	case "expires":
		return 36
	case "from":
		return 37
	case "if-match":
		return 39
	case "if-modified-since":
		return 40
	case "if-none-match":
		return 41
	case "if-range":
		return 42
	case "if-unmodified-since":
		return 43
	case "last-modified":
		return 44
	case "link":
		return 45
	case "max-forwards":
		return 47
	case "proxy-authenticate":
		return 48
	case "proxy-authorization":
		return 49
	case "range":
		return 50
	case "refresh":
		return 52
	case "retry-after":
		return 53
	case "strict-transport-security":
		return 56
	case "vary":
		return 59
	case "www-authenticate":
		return 61
	}
	return 0
}
