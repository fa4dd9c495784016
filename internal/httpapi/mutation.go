package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/jsontext"
)

// Entities is what the API asks of the entity engine; see [entity.Engine].
type Entities interface {
	Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error)
}

var _ Entities = (*entity.Engine)(nil)

// maxIdempotencyKey is the longest key, in bytes (pusher 5.9).
const maxIdempotencyKey = 128

// mutate is POST /apps/{app_id}/mutations: a batch that is applied whole or not at all.
//
//millrace:hot BenchmarkMutationHandler TestMutationAllocs
func (h *handler) mutate(ctx context.Context, c *call, now time.Time) *failure {
	b, f := h.readBatch(c)
	if f != nil {
		return f
	}
	if f := h.limits.spend(c.app, len(b.Mutations), now); f != nil {
		return f
	}
	seq, err := h.apply(ctx, b)
	if err != nil {
		return h.failApply(ctx, c, err)
	}
	c.out = append(c.out, `{"seq":`...)
	c.out = jsontext.AppendString(c.out, seq.String())
	c.out = append(c.out, '}')
	return nil
}

// apply applies b once there is room for what follows from it.
func (h *handler) apply(ctx context.Context, b *entity.Batch) (entity.Seq, error) {
	if h.o.Views != nil {
		waiting := &waitContext{Context: ctx, limit: h.o.MaxWait}
		err := h.o.Views.Reserve(waiting, b) //nolint:contextcheck // waiting inherits from ctx
		waiting.stop()
		if err != nil {
			return entity.Seq{}, err
		}
	}
	return h.o.Entities.Apply(ctx, b)
}

// failApply is the answer to a batch that the engine has refused.
func (h *handler) failApply(ctx context.Context, c *call, err error) *failure {
	refused, isRefused := errors.AsType[*entity.Error](err)
	switch {
	case isRefused && refused.Index >= 0:
		return invalid(refused.Message).at("mutations[" + strconv.Itoa(refused.Index) + "]")
	case isRefused:
		return invalid(refused.Message)
	case errors.Is(err, entity.ErrBackpressure), errors.Is(err, hub.ErrBackpressure):
		return fail(codeBackpressure, "The server is behind with its mutations; try again")
	case errors.Is(err, entity.ErrClosed):
		return fail(codeUnavailable, "The server is shutting down; try again")
	case errors.Is(err, entity.ErrNotStored):
		return fail(codeUnavailable, "The mutations cannot be stored right now; try again").because(causeUnstored)
	case ctx.Err() != nil:
		return fail(codeBackpressure, "The server is behind with its mutations; try again") // the client gave up waiting and reads no answer
	}
	h.o.Log.Error("mutations not applied", "app", c.app.ID, "err", err)
	return fail(codeUnavailable, "The mutations cannot be stored right now; try again")
}

// readBatch reads the body. The data of the batch is part of it: the engine keeps none.
func (h *handler) readBatch(c *call) (*entity.Batch, *failure) {
	v, f := parseObject(c.bytes())
	if f != nil {
		return nil, f
	}
	var list, key jsontext.Value
	for name, v := range v.Entries() {
		switch {
		case name.Means("mutations"):
			list = v
		case name.Means("idempotency_key"):
			key = v
		}
	}
	b := &entity.Batch{App: c.app.ID}
	if given(key) {
		b.IdempotencyKey = key.Text()
		if n := len(b.IdempotencyKey); n == 0 || n > maxIdempotencyKey {
			return nil, invalid(fmt.Sprintf("idempotency_key must be a string of 1 to %d bytes", maxIdempotencyKey))
		}
	}
	if list.Kind() != jsontext.Array {
		return nil, invalid("mutations must be an array of mutations")
	}
	if f := h.readMutations(b, list); f != nil {
		return nil, f
	}
	if len(b.Mutations) == 0 {
		return nil, invalid("mutations is empty")
	}
	return b, nil
}

func (h *handler) readMutations(b *entity.Batch, list jsontext.Value) *failure {
	elements := list.Scan()
	elements.Token() // the bracket that opens
	for v := elements.Skip(); v[0] != ']'; v = elements.Skip() {
		n := len(b.Mutations)
		if n == h.o.MaxBatch {
			return fail(codeLimit, fmt.Sprintf("The batch holds more than %d mutations", h.o.MaxBatch))
		}
		if n == 0 {
			b.Mutations = make([]entity.Mutation, 0, min(1+len(list)/len(v), h.o.MaxBatch)) // they are usually of a size
		}
		b.Mutations = append(b.Mutations, entity.Mutation{})
		m := &b.Mutations[n]
		if n > 0 {
			m.Type = b.Mutations[n-1].Type // the likely one, so that it need not be copied again
		}
		if place, problem := readMutation(m, v); problem != "" {
			return invalid("mutations[" + strconv.Itoa(n) + "]" + place + ": " + problem)
		}
		if !h.o.HasEntity(b.App, m.Type) {
			return invalid(fmt.Sprintf("mutations[%d].entity: this app has no entity type %q", n, m.Type))
		}
	}
	return nil
}

// readMutation reads one mutation, or returns the problem and its place.
func readMutation(m *entity.Mutation, v jsontext.Value) (place, problem string) {
	if v.Kind() != jsontext.Object {
		return "", "must be an object"
	}
	var name, key, op, data, paths jsontext.Value
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
	if problem := readOp(m, op); problem != "" {
		return ".op", problem
	}
	if m.Op == entity.OpDelete {
		return "", ""
	}
	if data.Kind() != jsontext.Object {
		return ".data", "must be a JSON object"
	}
	m.Data = data
	return readPaths(m, paths)
}

func readOp(m *entity.Mutation, op jsontext.Value) (problem string) {
	switch {
	case !given(op), op.Means("patch"):
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

func readPaths(m *entity.Mutation, paths jsontext.Value) (place, problem string) {
	if !given(paths) {
		return "", ""
	}
	if paths.Kind() != jsontext.Array {
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
