package http1

import (
	"bufio"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// difference is something in which the answers of net/http and of this package may differ.
type difference struct {
	name, reason string
	text         string                                // a conversation in which it shows, in one piece
	hide         func(text string, want, got *[]heard) // makes it equal
}

// each is a hide that looks at one answer after the other.
func each(hide func(want, got *heard)) func(string, *[]heard, *[]heard) {
	return func(_ string, want, got *[]heard) {
		for i := range min(len(*want), len(*got)) {
			hide(&(*want)[i], &(*got)[i])
		}
	}
}

// meant are all differences that are meant, in the order in which they are hidden.
var meant = []difference{
	{
		name:   "informational answers of a handler",
		reason: "no handler has any; 100 Continue is for net/http, which gets every request that expects it",
		text:   asked("/set?103&200"),
		hide: func(text string, want, got *[]heard) {
			if !informs.MatchString(text) {
				return
			}
			isInformational := func(h heard) bool {
				return strings.HasPrefix(h.Status, "HTTP/1.1 1") && !strings.HasPrefix(h.Status, "HTTP/1.1 101 ")
			}
			*want, *got = slices.DeleteFunc(*want, isInformational), slices.DeleteFunc(*got, isInformational)
		},
	},
	{
		name:   "the framing of a body of unknown length",
		reason: "an answer leaves when it is whole, so its length is known, where net/http sends chunks",
		text:   asked("/set?+5000"),
		hide: each(func(want, got *heard) {
			if want.Framing == "chunked" && strings.HasPrefix(got.Framing, "length ") {
				got.Framing = want.Framing
			}
		}),
	},
	{
		name:   "a Transfer-Encoding that a handler sets",
		reason: "the line is dropped, because the server frames answers, and net/http obeys it; no handler sets it",
		text:   asked("/set?Transfer-Encoding:identity&+5"),
		hide: func(text string, want, got *[]heard) {
			if strings.Contains(text, "?Transfer-Encoding:") || strings.Contains(text, "&Transfer-Encoding:") {
				*got = *want
			}
		},
	},
	{
		name:   "a length that a handler sets twice, or with a sign",
		reason: "the first counts and goes out as a number, where net/http sends what the handler has set",
		text:   asked("/set?Content-Length:5&Content-Length:x"),
		hide: func(text string, want, got *[]heard) {
			if hasOddLength.MatchString(text) {
				*got = *want
			}
		},
	},
	{
		name:   "a word to a client that leaves within a head",
		reason: "net/http says 400 sometimes, depending on where the head ends; nothing reads it",
		text:   "GET /a HTTP/1.1\r\nHost: h\r\nX",
		hide: func(_ string, want, got *[]heard) {
			withoutFarewell(want, len(*got))
			withoutFarewell(got, len(*want))
		},
	},
	{
		name:   "the end after a body that does not come whole",
		reason: "net/http looks for the rest of a body before it answers, and not at all if the handler has read to the end",
		text:   "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello",
		hide: func(text string, want, got *[]heard) {
			if n := len(*got); n > 0 && n == len(*want) && endsWithinBody(text) {
				(*want)[n-1].IsLast = (*got)[n-1].IsLast
			}
		},
	},
	{
		name:   "when a framing in two ways ends the connection",
		reason: "it does so with the first answer after it has been read, and net/http reads ahead",
		text:   get + framedTwice,
		hide: func(text string, want, got *[]heard) {
			var l lines
			if l.see([]byte(text)); !l.isFramedTwice() {
				return
			}
			n := min(len(*want), len(*got))
			*want, *got = (*want)[:n], (*got)[:n]
			if n > 0 {
				(*want)[n-1].IsLast = (*got)[n-1].IsLast
			}
		},
	},
}

// endsWithinBody reports whether a client that says text leaves before the end of a body.
func endsWithinBody(text string) bool {
	for rest := bufio.NewReader(strings.NewReader(text)); ; {
		for b, _ := rest.Peek(1); string(b) == "\r" || string(b) == "\n"; b, _ = rest.Peek(1) {
			_, _ = rest.Discard(1)
		}
		r, err := http.ReadRequest(rest)
		if err != nil {
			return false
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return true
		}
	}
}

var informs = regexp.MustCompile(`/set\?\S*1\d\d`)

var hasOddLength = regexp.MustCompile(`/set\?\S*Content-Length:(?:\+|-0|\S*Content-Length:)`)

// withoutFarewell drops the last answer of the longer conversation, if it refuses a head.
func withoutFarewell(longer *[]heard, than int) {
	if last := len(*longer) - 1; last == than && strings.HasPrefix((*longer)[last].Status, "HTTP/1.1 400 ") {
		*longer = (*longer)[:last]
	}
}

// TestEachDifferenceShows: the table has no row that is not needed.
func TestEachDifferenceShows(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	for i, d := range meant {
		others := append(append([]difference{}, meant[:i]...), meant[i+1:]...)
		pieces := []int{1 << 20}
		if diff := p.differ(t, d.text, nil, pieces, others); diff == "" {
			t.Errorf("%s: it does not show in %q; remove it", d.name, d.text)
		}
		p.check(t, d.text, nil, pieces)
		if d.reason == "" || strings.HasSuffix(d.reason, ".") {
			t.Errorf("%s: want a reason, as one sentence without its full stop", d.name)
		}
	}
}
