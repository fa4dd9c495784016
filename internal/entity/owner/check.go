package owner

import (
	"fmt"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/entity"
)

const (
	maxIdempotencyKey = 200 // bytes: it ends up in keys of stores
	maxAppends        = 100 // paths of one mutation: each is compared at each member
)

// check says what is wrong with m, apart from its data; empty if nothing.
func (o *Options) check(m *entity.Mutation) string {
	if problem := entity.CheckType(m.Type); problem != "" {
		return problem
	}
	switch {
	case len(m.Key) > o.MaxKey:
		return fmt.Sprintf("the key is longer than %d bytes", o.MaxKey)
	case !utf8.ValidString(m.Key):
		return "the key is not UTF-8"
	case m.Op >= numOps:
		return "the operation is unknown"
	case len(m.Append) > maxAppends:
		return fmt.Sprintf("more than %d append paths", maxAppends)
	}
	return ""
}

// checkBatch looks at what concerns the batch as a whole.
func (o *Options) checkBatch(b *entity.Batch) error {
	size := 0
	for i := range b.Mutations {
		size += len(b.Mutations[i].Data) + len(b.Mutations[i].Key) + mutationCost
	}
	var problem string
	switch {
	case len(b.Mutations) == 0:
		problem = "the batch has no mutations"
	case len(b.Mutations) > o.MaxBatch:
		problem = fmt.Sprintf("the batch has more than %d mutations", o.MaxBatch)
	case size > o.MaxWaiting:
		problem = fmt.Sprintf("the batch is larger than %d bytes", o.MaxWaiting)
	case len(b.IdempotencyKey) > maxIdempotencyKey:
		problem = fmt.Sprintf("the idempotency key is longer than %d bytes", maxIdempotencyKey)
	case !utf8.ValidString(b.IdempotencyKey):
		problem = "the idempotency key is not UTF-8"
	default:
		return nil
	}
	return &entity.Error{Index: -1, Message: problem}
}
