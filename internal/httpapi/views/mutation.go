package views

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/idempotency"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/problem"
)

// mutate is POST /apps/{app_id}/mutations: a batch that is applied whole or not at all.
//
//millrace:hot BenchmarkMutationHandler TestMutationAllocs
func (h *handler) mutate(ctx context.Context, r *httpapi.Request) *problem.Problem {
	b := h.batches.Get().(*entity.Batch)
	defer h.giveBack(b)
	if bad := h.readBatch(b, r.App.ID, r.Body()); bad != nil {
		return bad
	}
	if bad := r.Spend(len(b.Mutations)); bad != nil {
		return bad
	}
	seq, err := h.apply(ctx, r, b)
	if err != nil {
		return h.unapplied(ctx, r, err)
	}
	r.Out = append(r.Out, `{"seq":`...)
	r.Out = jsonscan.AppendString(r.Out, seq.String())
	r.Out = append(r.Out, '}')
	return nil
}

// apply applies b once there is room for what follows from it.
func (h *handler) apply(ctx context.Context, r *httpapi.Request, b *entity.Batch) (entity.Seq, error) {
	if h.o.Views != nil {
		err := h.o.Views.Reserve(r.Wait(ctx), b) //nolint:contextcheck // Wait inherits from ctx
		r.EndWait()
		if err != nil {
			return entity.Seq{}, err
		}
	}
	return h.o.Entities.Apply(ctx, b)
}

// maxKept is how many mutations a batch has room for at most that is used again.
const maxKept = 64

// giveBack lets a later request use b, of which the engine keeps nothing.
func (h *handler) giveBack(b *entity.Batch) {
	if cap(b.Mutations) > maxKept {
		return
	}
	clear(b.Mutations)
	*b = entity.Batch{Mutations: b.Mutations[:0]}
	h.batches.Put(b)
}

// readBatch reads the body into b, which is empty. The data of the batch is part of it: the engine
// keeps none.
func (h *handler) readBatch(b *entity.Batch, appID string, body []byte) *problem.Problem {
	v, bad := httpapi.ParseObject(body)
	if bad != nil {
		return bad
	}
	var list, key jsonscan.Value
	for name, v := range v.Entries() {
		switch {
		case name.Means("mutations"):
			list = v
		case name.Means("idempotency_key"):
			key = v
		}
	}
	b.App = appID
	if key.IsGiven() {
		b.IdempotencyKey = key.Text()
		if n := len(b.IdempotencyKey); n == 0 || n > idempotency.MaxKey {
			return problem.Invalid(fmt.Sprintf("idempotency_key must be a string of 1 to %d bytes", idempotency.MaxKey))
		}
	}
	if list.Kind() != jsonscan.Array {
		return problem.Invalid("mutations must be an array of mutations")
	}
	if bad := h.readMutations(b, list); bad != nil {
		return bad
	}
	if len(b.Mutations) == 0 {
		return problem.Invalid("mutations is empty")
	}
	return nil
}

func (h *handler) readMutations(b *entity.Batch, list jsonscan.Value) *problem.Problem {
	elements := list.Scan()
	elements.Token() // the bracket that opens
	for v := elements.Skip(); v[0] != ']'; v = elements.Skip() {
		n := len(b.Mutations)
		if n == h.o.MaxBatch {
			return problem.New(problem.LimitExceeded, fmt.Sprintf("The batch holds more than %d mutations", h.o.MaxBatch))
		}
		if n == 0 {
			b.Mutations = slices.Grow(b.Mutations, min(1+len(list)/len(v), h.o.MaxBatch)) // they are usually of a size
		}
		b.Mutations = append(b.Mutations, entity.Mutation{})
		m := &b.Mutations[n]
		if n > 0 {
			m.Type = b.Mutations[n-1].Type // the likely one, so that it need not be copied again
		}
		if place, wrong := readMutation(m, v); wrong != "" {
			return problem.Invalid("mutations[" + strconv.Itoa(n) + "]" + place + ": " + wrong)
		}
		if !h.o.HasEntity(b.App, m.Type) {
			return problem.Invalid(fmt.Sprintf("mutations[%d].entity: this app has no entity type %q", n, m.Type))
		}
	}
	return nil
}

// readMutation reads one mutation, or returns what is wrong, and its place.
func readMutation(m *entity.Mutation, v jsonscan.Value) (place, wrong string) {
	if v.Kind() != jsonscan.Object {
		return "", "must be an object"
	}
	var name, key, op, data, paths jsonscan.Value
	for member, v := range v.Entries() {
		switch {
		case member.Means("entity"):
			name = v
		case member.Means("key"):
			key = v
		case member.Means("op"):
			op = v
		case member.Means("data"):
			data = v
		case member.Means("append"):
			paths = v
		}
	}
	if m.Type == "" || !name.Means(m.Type) {
		if m.Type = name.Text(); m.Type == "" {
			return ".entity", "missing, or not a string"
		}
	}
	var ok bool
	if m.Key, ok = entity.KeyText(key); !ok {
		return ".key", "missing"
	}
	if wrong := readOp(m, op); wrong != "" {
		return ".op", wrong
	}
	if m.Op == entity.OpDelete {
		return "", ""
	}
	if data.Kind() != jsonscan.Object {
		return ".data", "must be a JSON object"
	}
	m.Data, m.IsParsed = data, true
	return readPaths(m, paths)
}

func readOp(m *entity.Mutation, op jsonscan.Value) (wrong string) {
	switch {
	case !op.IsGiven(), op.Means("patch"):
		m.Op = entity.OpPatch
	case op.Means("upsert"):
		m.Op = entity.OpUpsert
	case op.Means("delete"):
		m.Op = entity.OpDelete
	default:
		return "must be upsert, patch or delete"
	}
	return ""
}

func readPaths(m *entity.Mutation, paths jsonscan.Value) (place, wrong string) {
	if !paths.IsGiven() {
		return "", ""
	}
	if paths.Kind() != jsonscan.Array {
		return ".append", "must be an array of dotted paths"
	}
	for v := range paths.Elements() {
		path := v.Text()
		if path == "" {
			return ".append[" + strconv.Itoa(len(m.Append)) + "]", "must be a dotted path"
		}
		m.Append = append(m.Append, path)
	}
	if m.Op != entity.OpPatch && len(m.Append) > 0 {
		return ".append", "is for patch only"
	}
	return "", ""
}
