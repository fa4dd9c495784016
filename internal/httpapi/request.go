package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/token"
)

// Request is one request under way, which has passed every check. It and its buffers are used again
// by later requests, so Serve keeps nothing of it.
type Request struct {
	HTTP  *http.Request
	App   *app.App
	Name  string      // in the path, decoded; empty where the path has none
	Query auth.Params // empty if it is unreadable
	Now   time.Time   // at which it came

	// Reader is who reads without a signature; nil: a key of the app has signed.
	Reader *token.Principal

	Header http.Header // of the answer
	Out    []byte      // the body of the answer
	// IsUnchanged: the client has the answer already.
	IsUnchanged bool

	api        *api
	path       string // raw
	appID      string // in the path
	unreadable error  // why the query string cannot be read
	body       *bufpool.Buffer
	hold       Hold
	verifier   auth.Verifier // goes on from one request to the next
	wait       *WaitContext  // nil, or unused

	reserved int64 // bytes of the budget of all bodies
	large    int64 // bytes taken from the budget of large bodies
}

// MaxKeptOut is the size of Out, in bytes, up to which its buffer is kept for later requests.
const MaxKeptOut = 64 << 10

// reset forgets the request, so that nothing of it is kept alive by the pool.
func (r *Request) reset() {
	r.HTTP, r.App, r.Name, r.Reader, r.Header, r.IsUnchanged = nil, nil, "", nil, nil, false
	r.path, r.appID, r.unreadable, r.hold = "", "", nil, nil
	r.Query.Reset()
	if cap(r.Out) > MaxKeptOut {
		r.Out = nil
	}
	r.Out = r.Out[:0]
}

// Body is the body, empty without one.
func (r *Request) Body() []byte {
	if r.body == nil {
		return nil
	}
	return r.body.B
}

// Object is the body, which must be an object in JSON.
func (r *Request) Object() (jsonscan.Value, *problem.Problem) { return ParseObject(r.Body()) }

// ParseObject checks that a body is an object in JSON.
func ParseObject(body []byte) (jsonscan.Value, *problem.Problem) {
	v, ok := jsonscan.Parse(body)
	if !ok {
		return nil, problem.Invalid("The body is not JSON in UTF-8")
	}
	if v.Kind() != jsonscan.Object {
		return nil, problem.Invalid("The body must be a JSON object")
	}
	return v, nil
}

// Answer makes v the body of the answer, as encoding/json writes it. What is answered often appends to
// Out by itself.
func (r *Request) Answer(v any) *problem.Problem {
	b := bytes.NewBuffer(r.Out)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		r.api.o.Log.Error("api answer not written", "app", r.App.ID, "err", err)
		return problem.New(problem.Internal, "Internal error")
	}
	r.Out = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return nil
}

// Flag is a parameter that is true or false, in words or as 1 or 0; false without it.
func (r *Request) Flag(name string) (bool, *problem.Problem) {
	switch text, _ := r.Query.Get(name); text {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, problem.Invalid(name + " must be true or false, or 1 or 0")
	}
}

// ClientIP is where the request comes from, after trusted proxies.
func (r *Request) ClientIP() string { return r.api.o.ClientIP(r.HTTP) }

// Spend takes n events off what the app may publish in this second, all or none. The second is the
// present one: the body may have taken a long time to come.
func (r *Request) Spend(n int) *problem.Problem { return r.api.limits.spend(r.App, n, r.api.o.Now) }

// Present is the time now, which may be long after Now.
func (r *Request) Present() time.Time { return r.api.o.Now() }

// Wait is ctx, which also ends when the request has waited for as long as a request may wait for
// room. The caller calls EndWait when it is done, and before it calls Wait again.
func (r *Request) Wait(ctx context.Context) *WaitContext {
	if r.wait == nil {
		r.wait = new(WaitContext)
	}
	r.wait.Context, r.wait.limit = ctx, r.api.o.MaxWait
	return r.wait
}

// EndWait frees what Wait has taken. Its context is not to be used after it.
func (r *Request) EndWait() {
	if r.wait != nil {
		r.wait = r.wait.end()
	}
}

// Hold is what an answer holds until its client has taken it.
type Hold interface {
	// Begin is called before the answer is written.
	Begin(w http.ResponseWriter)
	// End is called once, after the answer was written, or when there is none.
	End()
}

// Hold has h told when the answer is written. A request has one.
func (r *Request) Hold(h Hold) { r.hold = h }

func (r *Request) endHold() {
	if r.hold != nil {
		r.hold.End()
		r.hold = nil
	}
}
