package auth

import (
	"errors"
	"strings"
)

// maxParams bounds the query parameters of one request; an honest one has ten at most.
const maxParams = 64

var (
	errEscape        = errors.New("malformed percent escape in the query string")
	errTooManyParams = errors.New("too many query parameters")
)

// Params are the query parameters of one request as the signature sees them: keys in
// lower case and in bytewise order, values decoded, the last of repeated keys kept. The
// zero value is empty; Parse may be called again. Strings returned alias the query string
// that was parsed. Not safe for concurrent use.
type Params struct {
	list  []param
	array [12]param // keeps list off the heap for every usual request
	plus  string    // the query string, while its + read as spaces and could mean themselves
}

type param struct{ key, value string }

// Parse reads a raw query string, replacing what p held. It is an error if an escape is
// malformed or if there are too many parameters; p is empty then.
func (p *Params) Parse(rawQuery string) error {
	if err := p.parse(rawQuery, false); err != nil {
		return err
	}
	if strings.IndexByte(rawQuery, '+') >= 0 {
		p.plus = rawQuery
	}
	return nil
}

// keepPlus reads the query string again, with every + as itself. It reports false if there is
// none, or no more than one reading of it left.
func (p *Params) keepPlus() bool {
	return p.plus != "" && p.parse(p.plus, true) == nil
}

func (p *Params) parse(rawQuery string, isPlusKept bool) error {
	p.Reset()
	isPlain := strings.IndexByte(rawQuery, '%') < 0 && (isPlusKept || strings.IndexByte(rawQuery, '+') < 0)
	for rawQuery != "" {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		if pair == "" {
			continue
		}
		if len(p.list) == maxParams {
			p.Reset()
			return errTooManyParams
		}
		key, value, _ := strings.Cut(pair, "=")
		if !isPlain {
			var ok1, ok2 bool
			key, ok1 = unescape(key, isPlusKept)
			value, ok2 = unescape(value, isPlusKept)
			if !ok1 || !ok2 {
				p.Reset()
				return errEscape
			}
		}
		p.insert(param{strings.ToLower(key), value})
	}
	p.keepLast()
	return nil
}

// Reset empties p, so that it holds on to no query string.
func (p *Params) Reset() {
	clear(p.list)
	p.list, p.plus = p.array[:0], ""
}

// insert keeps the order of keys, and of equal keys that in which they came: there are few, and
// libraries send them in order, but for the signature.
func (p *Params) insert(next param) {
	i := len(p.list)
	p.list = append(p.list, next)
	for ; i > 0 && p.list[i-1].key > next.key; i-- {
		p.list[i] = p.list[i-1]
	}
	p.list[i] = next
}

// keepLast drops every pair that is followed by one of the same key.
func (p *Params) keepLast() {
	if !p.hasRepeated() {
		return
	}
	kept := p.list[:0]
	for i, next := range p.list {
		if i+1 < len(p.list) && p.list[i+1].key == next.key {
			continue
		}
		kept = append(kept, next)
	}
	clear(p.list[len(kept):])
	p.list = kept
}

func (p *Params) hasRepeated() bool {
	for i := 1; i < len(p.list); i++ {
		if p.list[i].key == p.list[i-1].key {
			return true
		}
	}
	return false
}

// Get is the value of key, which is given in lower case, and whether it is there.
func (p *Params) Get(key string) (string, bool) {
	for i := range p.list {
		if p.list[i].key == key {
			return p.list[i].value, true
		}
	}
	return "", false
}

// Key is the auth_key parameter, empty without one.
func (p *Params) Key() string {
	v, _ := p.Get("auth_key")
	return v
}

// appendSigned appends the parameters as they are signed: all but the signature.
func (p *Params) appendSigned(dst []byte) []byte {
	first := true
	for i := range p.list {
		if p.list[i].key == "auth_signature" {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = append(dst, p.list[i].key...)
		dst = append(dst, '=')
		dst = append(dst, p.list[i].value...)
	}
	return dst
}

// unescape decodes percent escapes of a query string, and + unless it is kept; most need no
// decoding.
func unescape(s string, isPlusKept bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (isPlusKept || strings.IndexByte(s, '+') < 0) {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+' && !isPlusKept:
			out = append(out, ' ')
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if !ok1 || !ok2 {
				return "", false
			}
			out = append(out, hi<<4|lo)
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out), true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
