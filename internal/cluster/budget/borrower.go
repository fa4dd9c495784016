package budget

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/cluster"
)

// Borrower is what one node has borrowed, and what it uses of it. Its methods are called by one goroutine at a time.
type Borrower struct {
	limit func(app string) int
	asks  uint64 // questions that were made
	news  int    // purses of which the owner is to be told at once
	apps  map[string]*purse
}

// purse is what a node has of one budget.
type purse struct {
	app     string
	held    int
	used    int
	version uint64
	answers uint64
	grant   int // the size of the last loan
	least   int // that was unused since the last call of Return

	ask        uint64 // without an answer; zero: none
	isUrgent   bool
	hasChanged bool // since it was told
	isNews     bool // the owner is to be told at once
}

// NewBorrower makes a borrower that has nothing. Limit is how many connections an app may have on all nodes; zero: as many as
// it wants.
func NewBorrower(limit func(app string) int) *Borrower {
	return &Borrower{limit: limit, apps: make(map[string]*purse)}
}

// purse finds or makes a purse.
func (b *Borrower) purse(app string) *purse {
	p := b.apps[app]
	if p == nil {
		p = &purse{app: app}
		b.apps[app] = p
	}
	return p
}

// Take takes a connection in, if that is lent. It asks for more before all is used up.
func (b *Borrower) Take(app string) bool {
	p := b.purse(app)
	switch {
	case b.limit(app) == 0:
		p.held = max(p.held, p.used+1)
	case p.held <= p.used:
		return false
	}
	p.used++
	p.hasChanged = true
	p.least = min(p.least, p.unused())
	if b.limit(app) > 0 && p.unused()*4 <= p.grant && p.ask == 0 {
		b.question(p)
	}
	return true
}

// TakeAlone takes a connection in without an owner: the limit is this node's alone.
func (b *Borrower) TakeAlone(app string) bool {
	p := b.purse(app)
	if limit := b.limit(app); limit > 0 && p.used >= limit {
		return false
	}
	p.used++
	p.held, p.least, p.hasChanged = max(p.held, p.used), 0, true
	return true
}

// Ask asks for more: a connection waits for it.
func (b *Borrower) Ask(app string) {
	p := b.purse(app)
	if p.ask == 0 {
		b.question(p)
	}
	if !p.isUrgent {
		p.isUrgent = true
		b.tell(p)
	}
}

// tell has the owner told at once.
func (b *Borrower) tell(p *purse) {
	p.hasChanged = true
	if !p.isNews {
		p.isNews = true
		b.news++
	}
}

func (b *Borrower) question(p *purse) {
	b.asks++
	p.ask, p.isUrgent = b.asks, false
	b.tell(p)
}

// Release ends a connection that was taken in.
func (b *Borrower) Release(app string) {
	p := b.purse(app)
	p.used--
	p.hasChanged = true
}

// Lend takes a loan. It reports whether connections that wait are refused.
func (b *Borrower) Lend(m *cluster.Lent) (isRefused bool) {
	p := b.purse(m.App)
	if m.Version > p.version {
		p.version, p.grant = m.Version, m.Amount-p.held
		p.held = m.Amount
		p.hasChanged = true
	}
	if m.Ask != p.ask {
		return false
	}
	p.ask, p.isUrgent = 0, false
	return m.IsRefused
}

// CallBack gives back what is not used.
func (b *Borrower) CallBack(app string, number uint64) {
	p := b.purse(app)
	p.held, p.answers, p.least = p.used, number, 0
	b.tell(p)
}

// Return gives back what was not used since it was called last, but one. It is called every few seconds.
func (b *Borrower) Return() {
	for _, p := range b.apps {
		if idle := p.least - 1; idle > 0 {
			p.held -= idle
			p.hasChanged = true
		}
		p.least = p.unused()
	}
}

// Reborn tells that the node was taken for dead: what it had borrowed and does not use is lent to others.
func (b *Borrower) Reborn() {
	for _, p := range b.apps {
		p.held, p.least = p.used, 0
	}
}

// Begin tells of a term, or of a life of the node: the owner of an app knows nothing. What the node asks it asks again.
func (b *Borrower) Begin(isOf func(app string) bool) {
	for _, app := range slices.Sorted(maps.Keys(b.apps)) {
		p := b.apps[app]
		if !isOf(app) {
			continue
		}
		if p.held == 0 && p.ask == 0 && !p.isNews {
			delete(b.apps, app)
			continue
		}
		p.version, p.answers = 0, 0
		if p.ask != 0 {
			isUrgent := p.isUrgent
			b.question(p)
			p.isUrgent = isUrgent
		}
	}
}

// Loans are what an owner is to be told: what has changed and what has no answer, or all, in the order of apps.
func (b *Borrower) Loans(isOf func(app string) bool, isWhole bool) (loans []cluster.Loan) {
	for _, app := range slices.Sorted(maps.Keys(b.apps)) {
		p := b.apps[app]
		if !isOf(app) || !isWhole && !p.hasChanged && p.ask == 0 {
			continue
		}
		p.hasChanged = false
		if p.isNews {
			p.isNews = false
			b.news--
		}
		if b.limit(app) == 0 {
			continue
		}
		loans = append(loans, cluster.Loan{
			App: app, Version: p.version, Held: p.held, Used: p.used, Answers: p.answers, Ask: p.ask, IsUrgent: p.isUrgent,
		})
	}
	return loans
}

// HasNews reports whether the owner of an app is to be told something at once.
func (b *Borrower) HasNews(isOf func(app string) bool) bool {
	if b.news == 0 {
		return false
	}
	for app, p := range b.apps {
		if p.isNews && isOf(app) {
			return true
		}
	}
	return false
}

// Unused is how many connections of an app the node may take in without asking.
func (b *Borrower) Unused(app string) int {
	if p := b.apps[app]; p != nil {
		return p.unused()
	}
	return 0
}

func (p *purse) unused() int { return p.held - p.used }
