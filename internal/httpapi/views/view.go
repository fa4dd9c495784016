package views

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/view"
)

// positionHeader tells where a subscription goes on without a gap.
const positionHeader = "X-Millrace-Position"

// viewAnswer is a view in the list of views.
type viewAnswer struct {
	ID            string          `json:"id"`
	Mode          string          `json:"mode"`
	Access        string          `json:"access"`
	Source        string          `json:"source,omitempty"`
	Definition    json.RawMessage `json:"definition,omitempty"`
	Rows          int             `json:"rows"`
	Subscriptions int             `json:"subscriptions"`
}

// listViews is GET /apps/{app_id}/views. A reader without a signature sees the views that it may
// read, and what they are made of where it may read that, too.
func (h *handler) listViews(_ context.Context, r *httpapi.Request) *problem.Problem {
	all := h.o.Views.Views(r.App.ID)
	levels := make(map[string]access.Level, len(all))
	for _, v := range all {
		levels[v.ID] = h.levelOf(r, &v)
	}
	list := []viewAnswer{}
	for _, v := range all {
		level := levels[v.ID]
		if !clearance(r, v.ID).May(level) {
			continue
		}
		if v.Source != "" && !clearance(r, v.Source).May(max(levels[v.Source], h.baseLevel(r, v.Source))) {
			v.Source, v.Definition = "", nil
		}
		list = append(list, viewAnswer{
			ID: v.ID, Mode: string(v.Mode), Access: level.String(), Source: v.Source, Definition: v.Definition,
			Rows: v.Rows, Subscriptions: v.Subscriptions,
		})
	}
	if bad := r.Answer(struct {
		Views []viewAnswer `json:"views"`
	}{list}); bad != nil {
		return bad
	}
	return h.spendBytes(r)
}

// levelOf is who may read a view.
func (h *handler) levelOf(r *httpapi.Request, v *view.Info) access.Level {
	return max(v.Access, h.baseLevel(r, v.ID))
}

// baseLevel is who may read a base view, zero for another one.
func (h *handler) baseLevel(r *httpapi.Request, id string) access.Level {
	switch {
	case !access.IsBase(id):
		return 0
	case h.o.Readers == nil:
		return access.Server
	default:
		return h.o.Readers.Level(r.App.ID, id, 0)
	}
}

// defineView is POST /apps/{app_id}/views. It answers with the definition as it is kept.
func (h *handler) defineView(ctx context.Context, r *httpapi.Request) *problem.Problem {
	d, err := query.Parse(r.Body())
	if err == nil {
		err = h.o.Definitions.Define(ctx, r.App.ID, d, true)
	}
	if err != nil {
		return h.unchanged(r, err)
	}
	r.Out = d.AppendJSON(r.Out)
	return nil
}

// removeView is DELETE /apps/{app_id}/views/{view}.
func (h *handler) removeView(ctx context.Context, r *httpapi.Request) *problem.Problem {
	if err := h.o.Definitions.Remove(ctx, r.App.ID, r.Name); err != nil {
		return h.unchanged(r, err)
	}
	r.Out = append(r.Out, `{"ok":true}`...)
	return nil
}

// showView is GET /apps/{app_id}/views/{view}, for first paint: the rows, and the position
// from which a subscription goes on.
func (h *handler) showView(ctx context.Context, r *httpapi.Request) *problem.Problem {
	request, bad := viewRequest(r)
	if bad != nil {
		return bad
	}
	if r.Reader != nil {
		if bad := h.admitRead(r, request); bad != nil {
			return bad
		}
	}
	result, issue := h.o.Views.Read(r.App.ID, request, view.Limits{MaxRows: h.maxRows(r), Clearance: clearance(r, request.View)})
	if issue != nil {
		return h.unread(r, request, issue)
	}
	if bad := h.reserveAnswer(ctx, r, result); bad != nil {
		return bad
	}
	position := result.Position.String()
	r.Header[positionHeader] = []string{position}
	r.Header["Cache-Control"] = h.revalidate
	r.Header["Access-Control-Expose-Headers"] = h.exposed
	r.Out = append(r.Out, '{')
	r.Out = appendResult(r.Out, result, request.After != nil)
	// Without the position, which also moves with what the view does not show.
	tag := etag(r.Out)
	r.Header["Etag"] = []string{tag}
	if r.IsUnchanged = matches(r.HTTP.Header["If-None-Match"], tag); r.IsUnchanged {
		return nil
	}
	r.Out = append(r.Out, `,"position":`...)
	r.Out = jsonscan.AppendString(r.Out, position)
	r.Out = append(r.Out, '}')
	return h.spendBytes(r)
}

// reserveAnswer makes room for a large answer. A reader without a signature waits for its share of
// the memory that all of them have, and holds it until the answer is taken.
func (h *handler) reserveAnswer(ctx context.Context, r *httpapi.Request, result *view.Result) *problem.Problem {
	const around = 24 // bytes of a row besides its key and data; of a key that is gone at most
	size := 0
	for _, row := range result.Rows {
		size += len(row.Key) + len(row.Data) + around
	}
	for _, key := range result.Deleted {
		size += len(key) + around
	}
	if size <= httpapi.MaxKeptOut {
		return nil
	}
	if r.Reader != nil {
		if !h.answers.fits(int64(size)) {
			return problem.New(problem.LimitExceeded, fmt.Sprintf("The answer would have %d bytes, and may have %d; ask for some of the rows with key, limit, after, or take and skip", size, h.answers.each))
		}
		taker := limit.Address(r.ClientIP())
		defer r.EndWait()
		if !h.answers.acquire(r.Wait(ctx), taker, int64(size)) { //nolint:contextcheck // Wait inherits from ctx
			return problem.New(problem.Backpressure, "The server is sending too many rows at this moment; try again, or ask for fewer").Because(causeAnswers)
		}
		r.Hold(&taken{h.answers, taker, int64(size)})
	}
	r.Out = slices.Grow(r.Out, size+httpapi.MaxKeptOut/8)
	return nil
}

// maxRows is how many rows r may be answered with, at least one: see admitRead.
func (h *handler) maxRows(r *httpapi.Request) int {
	if r.Reader == nil {
		return h.o.MaxRows
	}
	if most := granted(r.Reader.Limits.MaxSnapshotRows, int64(h.o.ReaderLimits.MaxSnapshotRows)); most > 0 {
		return min(most, h.o.MaxRows)
	}
	return h.o.MaxRows
}

// viewRequest is what the query asks for.
func viewRequest(r *httpapi.Request) (*protocol.ViewRequest, *problem.Problem) {
	q := &protocol.ViewRequest{View: r.Name}
	if key, ok := r.Query.Get("key"); ok {
		q.Key = &key
	}
	if after, ok := r.Query.Get("after"); ok {
		q.After = &after
	}
	var skip *int
	for _, n := range []struct {
		name string
		to   **int
	}{{"take", &q.Take}, {"limit", &q.SnapshotLimit}, {"skip", &skip}} {
		var bad *problem.Problem
		if *n.to, bad = number(r, n.name); bad != nil {
			return nil, bad
		}
	}
	if skip != nil {
		q.Skip = *skip
	}
	return q, nil
}

// number is a parameter that counts something, nil without it.
func number(r *httpapi.Request, name string) (*int, *problem.Problem) {
	text, ok := r.Query.Get(name)
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, problem.Invalid(name + " must be a whole number, zero or more")
	}
	value := int(n)
	return &value, nil
}

// appendResult appends the members of the answer but the position.
func appendResult(dst []byte, r *view.Result, withDeleted bool) []byte {
	dst = append(dst, `"view":`...)
	dst = jsonscan.AppendString(dst, r.View)
	dst = append(dst, `,"mode":`...)
	dst = jsonscan.AppendString(dst, string(r.Mode))
	if len(r.SortPath) > 0 {
		dst = append(dst, `,"sort":{"field":[`...)
		for i, part := range r.SortPath {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = jsonscan.AppendString(dst, part)
		}
		dst = append(dst, `],"order":"`...)
		if r.SortDesc {
			dst = append(dst, `desc"}`...)
		} else {
			dst = append(dst, `asc"}`...)
		}
	}
	dst = append(dst, `,"rows":[`...)
	for i, row := range r.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = jsonscan.AppendString(dst, row.Key)
		dst = append(dst, `,"data":`...)
		dst = append(dst, row.Data...)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if withDeleted {
		dst = append(dst, `,"deleted":[`...)
		for i, key := range r.Deleted {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = jsonscan.AppendString(dst, key)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `,"whole":`...)
	dst = strconv.AppendBool(dst, r.IsWhole)
	dst = append(dst, `,"total":`...)
	return strconv.AppendInt(dst, int64(r.Total), 10)
}

// etag names an answer, whichever node gives it.
func etag(answer []byte) string {
	const size = 16 // bytes; a client that finds a collision only misleads itself
	sum := sha256.Sum256(answer)
	return `W/"` + hex.EncodeToString(sum[:size]) + `"`
}

// matches reports whether a client has what tag names (RFC 9110, 13.1.2).
func matches(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for known := range strings.SplitSeq(line, ",") {
			known = strings.TrimSpace(known)
			if known == "*" || strings.TrimPrefix(known, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
