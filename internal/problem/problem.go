package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/coding"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Problem is an error answer of an HTTP API.
type Problem struct {
	Code    Code
	Message string
	// Status is the HTTP status.
	Status int
	// RetryAfter says when the same request may succeed, in whole seconds; zero does not say.
	RetryAfter time.Duration
	// Allow names the methods to use instead, with MethodNotAllowed.
	Allow string
	// Cause says why, where Code alone does not: for the log and for metrics. The sender is not told.
	Cause Cause
	// Members come after code and status in the body.
	Members []Member

	isIssue bool // the code is one that clients of views know
}

// Cause says why a request was refused: bounded, a metric label. The reasons of package auth are
// causes, too.
type Cause string

// Member is one more member of the body of a problem.
type Member struct {
	Name  string // which needs no escapes
	Value any    // as encoding/json writes it
}

// New makes a problem.
func New(c Code, message string) *Problem {
	return &Problem{Code: c, Message: message, Status: c.status(), RetryAfter: c.pause()}
}

// Invalid makes a problem of a request that says something wrong.
func Invalid(message string) *Problem { return New(InvalidInput, message) }

// Method makes the problem of a method that a path does not have.
func Method(allowed string) *Problem {
	p := New(MethodNotAllowed, "This method is not allowed here; use "+allowed)
	p.Allow = allowed
	return p
}

// FromIssue makes a problem of what clients of views are told (views 1.6): the same codes, in the
// shape of the HTTP APIs.
func FromIssue(i *protocol.Issue) *Problem {
	return &Problem{
		Code: Code(i.Code), Message: i.Message, Status: i.Status, RetryAfter: i.RetryAfter.Truncate(time.Second), isIssue: true,
	}
}

// IsIssue reports whether p was made by FromIssue.
func (p *Problem) IsIssue() bool { return p.isIssue }

// Because names what p's code leaves open, and returns p.
func (p *Problem) Because(c Cause) *Problem {
	p.Cause = c
	return p
}

// At says where in the request p lies.
func (p *Problem) At(place string) *Problem {
	q := *p
	q.Message = place + ": " + p.Message
	return &q
}

// SetHeaders sets the headers that say what p is, without Content-Type. A Retry-After that is there
// stays.
func (p *Problem) SetHeaders(h http.Header) {
	if p.Allow != "" {
		h["Allow"] = []string{p.Allow}
	}
	if p.Code == UnsupportedEncoding {
		h["Accept-Encoding"] = []string{coding.Plain}
	}
	if p.isIssue {
		h["X-Error-Code"] = []string{string(p.Code)}
	}
	if p.RetryAfter >= time.Second && len(h["Retry-After"]) == 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(p.RetryAfter / time.Second))}
	}
}

// AppendJSON appends the body.
func (p *Problem) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"error":`...)
	dst = jsonscan.AppendString(dst, p.Message)
	dst = append(dst, `,"code":"`...)
	dst = append(dst, p.Code...)
	dst = append(dst, `","status":`...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	for _, m := range p.Members {
		text, err := json.Marshal(m.Value)
		if err != nil {
			continue // no value of a member can fail
		}
		dst = append(dst, ',', '"')
		dst = append(dst, m.Name...)
		dst = append(dst, '"', ':')
		dst = append(dst, text...)
	}
	return append(dst, '}')
}

// Shorten bounds what a message or a log repeats of a request.
func Shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
