package http1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxHead    = 8 << 10 // bytes of a usual head
	maxHeaders = 48      // lines of a usual head
	maxDigits  = 18      // of a length
)

// head is what is read of a request before its body. Its map and its values are used again.
type head struct {
	method, target, host string
	url                  *url.URL
	header               http.Header
	length               int64
	isLast               bool // the client wants the connection closed after the answer

	hasPragma, hasCacheControl bool // of header

	values [maxHeaders]string // what header points to
	lines  int                // of values that are used
	place  url.URL            // what url points to, for most targets
}

// canBeUsual reports whether the beginning of a head leaves that open.
func canBeUsual(b []byte) bool {
	for _, method := range [...]string{"GET /", "POST /"} {
		n := min(len(b), len(method))
		if string(b[:n]) != method[:n] {
			continue
		}
		for {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				return true
			}
			if i == 0 || b[i-1] != '\r' {
				return false
			}
			b = b[i+1:]
		}
	}
	return false
}

// parse reads a whole head, with the empty line that ends it. It reports whether it begins
// a usual request: GET or POST of a path, HTTP/1.1, every line by the letter of RFC 9112, one
// Host, a body with a length or none, nothing about it that needs more than reading it.
func (h *head) parse(text string) bool {
	line, rest, ok := cutLine(text)
	if !ok || !h.parseLine(line) {
		return false
	}
	h.host, h.length, h.isLast, h.hasPragma, h.hasCacheControl = "", 0, false, false, false
	clear(h.header)
	for n := 0; ; n++ {
		if line, rest, ok = cutLine(rest); line == "" {
			break
		}
		name, value, isField := strings.Cut(line, ":")
		if !isField || n == maxHeaders {
			return false
		}
		if name, ok = canonical(name); !ok {
			return false
		}
		value = trimBlanks(value)
		if !isValue(value) || !h.take(name, value, n) {
			return false
		}
	}
	return ok && h.host != "" && rest == "" && (h.hasCacheControl || !h.hasPragma) // net/http makes one of the other
}

// canonical is the name of a line as handlers know it; not ok if it cannot be one. Most lines of
// most requests are named as they are.
func canonical(name string) (_ string, ok bool) {
	switch name {
	case "Host", "Content-Type", "Content-Length", "User-Agent", "Accept", "Accept-Encoding", "Connection":
		return name, true
	}
	return textproto.CanonicalMIMEHeaderKey(name), isToken(name)
}

// cutLine is the first line of text, without its end, and what follows; not ok without a line feed
// that a carriage return stands before.
func cutLine(text string) (line, rest string, ok bool) {
	i := strings.IndexByte(text, '\n')
	if i <= 0 || text[i-1] != '\r' {
		return "", "", false
	}
	return text[:i-1], text[i+1:], true
}

func trimBlanks(s string) string {
	isBlank := func(b byte) bool { return b == ' ' || b == '\t' }
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// forget lets go of the text. The header goes on with its room. Only what is in use is cleared:
// most of the room for lines never is.
func (h *head) forget() {
	clear(h.header)
	clear(h.values[:h.lines])
	h.lines, h.target, h.host, h.url, h.place = 0, "", "", nil, url.URL{}
}

func (h *head) parseLine(line string) (ok bool) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if version != "HTTP/1.1" || !strings.HasPrefix(target, "/") || !isVisible(target) {
		return false
	}
	switch method {
	case http.MethodGet:
		h.method = http.MethodGet // not a part of the text, which it would keep
	case http.MethodPost:
		h.method = http.MethodPost
	default:
		return false
	}
	h.target = target
	return h.parseTarget(target)
}

// parseTarget reads most targets by itself: a path in which nothing is encoded or could be, and
// perhaps a query, which is not looked at. All others are for package url.
func (h *head) parseTarget(target string) bool {
	path, query, hasQuery := strings.Cut(target, "?")
	if hasQuery == (query != "") && !strings.HasPrefix(path, "//") && consistsOf(path, inPath) {
		h.place = url.URL{Path: path, RawQuery: query}
		h.url = &h.place
		return true
	}
	var err error
	h.url, err = url.ParseRequestURI(target)
	return err == nil
}

// take notes line n of the header; false for one that is not usual.
func (h *head) take(name, value string, n int) bool {
	had, has := h.header[name]
	switch name {
	case "Host":
		isFirst := h.host == ""
		h.host = value
		return isFirst && isHost(value) // and the header has none
	case "Content-Length":
		if has || len(value) > maxDigits || !isDigits(value) {
			return false
		}
		h.length, _ = strconv.ParseInt(value, 10, 64)
	case "Connection":
		if has {
			return false
		}
		switch strings.ToLower(value) {
		case "keep-alive", "upgrade", "keep-alive, upgrade":
		case "close":
			h.isLast = true
		default:
			return false
		}
	case "Pragma":
		h.hasPragma = true
	case "Cache-Control":
		h.hasCacheControl = true
	case "Transfer-Encoding", "Expect", "Trailer", "Te":
		return false
	}
	h.values[n] = value
	h.lines = max(h.lines, n+1)
	if has {
		h.header[name] = append(had, value)
		return true
	}
	h.header[name] = h.values[n : n+1 : n+1]
	return true
}

// class is what a byte may be part of.
type class uint8

const (
	inToken class = 1 << iota
	inValue
	inTarget
	inHost
	inPath // without encoding
)

var classes = func() (t [256]class) { //nolint:gochecknoglobals // a table, never changed
	for i := range t {
		b := byte(i)
		isAlnum := '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z'
		if isAlnum || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0 {
			t[i] |= inToken
		}
		if b >= ' ' && b != 0x7f || b == '\t' {
			t[i] |= inValue
		}
		if b > ' ' && b < 0x7f {
			t[i] |= inTarget
		}
		if isAlnum || strings.IndexByte(".:-_[]", b) >= 0 {
			t[i] |= inHost
		}
		if isAlnum || strings.IndexByte("/-._~", b) >= 0 {
			t[i] |= inPath
		}
	}
	return t
}()

func consistsOf(s string, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return s != ""
}

func isToken(s string) bool   { return consistsOf(s, inToken) }
func isVisible(s string) bool { return s != "" && passVisible(s) == len(s) }
func isHost(s string) bool    { return consistsOf(s, inHost) }
func isValue(s string) bool   { return s == "" || consistsOf(s, inValue) }

// passVisible is how many bytes of s, from the first on, are above the blank and below 0x7f. Eight
// at a time: targets are long, as signatures are in them.
func passVisible(s string) (n int) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; n+8 <= len(s); n += 8 {
		word := load(s, n)
		// The top bit of a byte is set in the first where it is below 0x21, in the second where it is
		// 0x7f or above; a carry only reaches bytes above one that is marked rightly.
		if ((word-ones*0x21)|(word+ones))&tops != 0 {
			break
		}
	}
	for n < len(s) && classes[s[n]]&inTarget != 0 {
		n++
	}
	return n
}

// load is the eight bytes of s from i on.
func load(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
