package http1

import (
	"errors"
	"net/http"
	"time"
)

// errLeft is what a handler gets that goes on with a request after HandOver has reported true.
var errLeft = errors.New("http1: the request has been left to net/http; return when HandOver reports true")

// HandOver is how a handler says that its answer streams or waits: server-sent events, a long poll,
// anything that is not whole soon after it begins. An answer of the short loop leaves when its
// handler returns, so such a request is for net/http. The handler calls HandOver before it reads
// of the body, sets a line of the header, or does anything that must not happen twice:
//
//	if http1.HandOver(w, r) {
//		return // and it is called again, by net/http
//	}
//
// True: nothing of the request has been used, and the handler returns without a word. Then net/http
// gets the connection, from the first byte of the request on, keeps it for the requests to come,
// and calls the handlers again from the outermost one. False: net/http has the request already,
// over TLS, too, and the handler goes on. What it writes leaves with a Flush of
// [http.ResponseController], the context ends with the client, and no body is awaited any more: a
// handler that still reads one sets the time for it by SetReadDeadline. The listener's limit for
// taking an answer holds for the whole of it, unless the handler gives each write its own by
// SetWriteDeadline, before the limit is over. Shutdown waits for the handler, which has to end by
// itself when the server drains.
//
// It panics where it comes too late. It finds the writer behind those that have an Unwrap method.
func HandOver(w http.ResponseWriter, r *http.Request) bool {
	a := answerBehind(w)
	if a == nil {
		if r.ContentLength == 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a writer without one has no limit
		}
		return false
	}
	if a.status != 0 || a.c.isHijacked || a.c.body.left != a.c.head.length {
		panic("http1: HandOver after the answer has begun or the body has been read")
	}
	a.isLeft = true
	return true
}

// answerBehind is the writer of the short loop in or behind w; nil if it is another's.
func answerBehind(w http.ResponseWriter) *answer {
	for {
		switch v := w.(type) {
		case *answer:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}
