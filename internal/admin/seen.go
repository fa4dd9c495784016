package admin

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/auth"
)

// Signatures remembers which signed requests were carried out. A store that survives restarts,
// and that all nodes share, makes "once" hold for all of them.
type Signatures interface {
	// ClaimSignature claims the signature for ttl at least. It reports false if the signature is
	// claimed already: of several calls at the same time one gets true. After an error it may be
	// claimed or not.
	ClaimSignature(ctx context.Context, signature string, ttl time.Duration) (isFirst bool, err error)
}

const (
	// signatureTTL outlives the timestamp of a request: twice the window, for its clock may be
	// ahead or behind, and once more for nodes whose clocks differ.
	signatureTTL = 3 * auth.Window
	claimTimeout = 5 * time.Second

	maxSeen = 1 << 16 // in each generation
)

var errSeenFull = errors.New("too many signatures to remember")

// seen is the memory of one process. Only good signatures come here, so the operator alone can
// fill it. Safe for concurrent use.
type seen struct {
	now func() time.Time

	mu           sync.Mutex
	newer, older map[string]bool // guarded by mu
	since        time.Time       // when newer was begun; guarded by mu
}

var _ Signatures = (*seen)(nil)

// ClaimSignature implements Signatures. What it remembers goes a generation at a time.
func (s *seen) ClaimSignature(_ context.Context, signature string, ttl time.Duration) (bool, error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newer[signature] || s.older[signature] {
		return false, nil
	}
	if age := now.Sub(s.since); s.newer == nil || age >= ttl {
		s.older, s.newer, s.since = s.newer, map[string]bool{}, now
	}
	if len(s.newer) >= maxSeen {
		return false, errSeenFull
	}
	s.newer[signature] = true
	return true, nil
}
