package outbox

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/webhook"
)

// memory stands in for a Store. It keeps dead letters alone: no later process asks for the rest.
type memory struct {
	mu      sync.Mutex
	letters []webhook.Letter // by number
}

var _ webhook.Store = (*memory)(nil)

func (m *memory) LoadWebhooks(context.Context, webhook.Loader) error { return nil }

func (m *memory) CommitWebhooks(_ context.Context, c *webhook.Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range c.Dead {
		i, _ := m.findLocked(l.Number)
		m.letters = slices.Insert(m.letters, i, l)
	}
	for _, number := range c.Forget {
		if i, ok := m.findLocked(number); ok {
			m.letters = slices.Delete(m.letters, i, i+1)
		}
	}
	return nil
}

func (m *memory) findLocked(number uint64) (int, bool) {
	return slices.BinarySearchFunc(m.letters, number, func(l webhook.Letter, n uint64) int { return cmp.Compare(l.Number, n) })
}

func (m *memory) LoadDeadWebhooks(_ context.Context, app string, after uint64, limit int, fn func(webhook.Letter) error) error {
	for _, l := range m.dead(app, after, limit) {
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) dead(app string, after uint64, limit int) (found []webhook.Letter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.letters {
		if len(found) == limit {
			break
		}
		if l.App == app && l.Number > after {
			found = append(found, l)
		}
	}
	return found
}
