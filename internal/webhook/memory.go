package webhook

import (
	"context"
	"slices"
	"sync"
)

// memory stands in for a Store. It keeps dead letters; nobody will ask for the rest.
type memory struct {
	mu      sync.Mutex
	letters []Letter // by number
}

var _ Store = (*memory)(nil)

func (m *memory) LoadWebhooks(context.Context, Loader) error { return nil }

func (m *memory) CommitWebhooks(_ context.Context, c *Commit) error {
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
	return slices.BinarySearchFunc(m.letters, number, func(l Letter, n uint64) int {
		switch {
		case l.Number < n:
			return -1
		case l.Number > n:
			return 1
		default:
			return 0
		}
	})
}

func (m *memory) LoadDeadWebhooks(_ context.Context, app string, after uint64, limit int, fn func(Letter) error) error {
	for _, l := range m.dead(app, after, limit) {
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) dead(app string, after uint64, limit int) (found []Letter) {
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
