package view

import (
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/access"
	"github.com/millrace/millrace/internal/catchup"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
)

// Info describes a view to an operator.
type Info struct {
	ID                  string
	Mode                protocol.Mode
	Source              string // of a derived view
	Definition          []byte // canonical JSON; nil for base views
	Rows, Subscriptions int
	Access              access.Level // of a derived view; zero for base views, which the app's rules are for
}

// Views returns the views of an app by id: base views of every known type, and derived views.
func (e *Engine) Views(app string) []Info {
	var all []Info
	for _, t := range e.entities.Types(app) {
		r := e.look(t)
		t.RLock()
		for i := range r.bases {
			info := Info{ID: baseID(t, i), Mode: baseMode(i), Rows: t.LenLocked()}
			if b := r.bases[i].Load(); b != nil {
				info.Subscriptions = b.subs
			}
			all = append(all, info)
		}
		t.RUnlock()
	}
	for _, n := range e.derivedViews(app) {
		if info, ok := n.info(); ok {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (n *derivedView) info() (Info, bool) {
	t := n.rlock()
	defer t.RUnlock()
	if n.isVacantLocked() {
		return Info{}, false
	}
	info := Info{
		ID: n.id, Mode: n.modeLocked(), Source: n.rows.Plan().Source(), Access: n.access(),
		Definition: n.rows.Plan().Definition().AppendJSON(nil), Rows: n.rows.Len(),
	}
	for _, w := range n.windows {
		info.Subscriptions += int(w.subs)
	}
	return info, true
}

// Result is a view, or a part of it, at one moment.
type Result struct {
	View     string
	Mode     protocol.Mode
	SortPath []string // how the rows are sorted; empty: by nothing that clients could know
	SortDesc bool
	Rows     []protocol.Row // in the order of the view
	IsWhole  bool           // the rows are all there are; otherwise those that changed since After
	Deleted  []string       // with After: keys deleted since, as far as they are known
	Position entity.Cursor  // a read of a base view after it, or a subscription, goes on without a gap
	Total    int            // rows of the whole view
}

// Read reads what a subscription with the same request would get as its snapshot, whatever
// NoSnapshot says. Where After and SnapshotLimit are given, the rows are a page: reading on from
// Position comes upon all changes. The limit does not count where After cannot be resumed. More than MaxRows, if that is above zero, is IssueSnapshotLimit; the other
// issue is ErrUnknownView.
func (e *Engine) Read(app string, r *protocol.ViewRequest, l Limits) (*Result, *protocol.Issue) {
	s := newSubscription(r)
	m := e.resolve(app, r, s, l.Clearance)
	if m == nil {
		return nil, unknownView(r.View)
	}
	res := &Result{View: m.View, Mode: m.Mode, SortPath: m.SortPath, SortDesc: m.SortDesc}
	t := s.rlock()
	rows, shape, issue := e.readLocked(res, s, l)
	t.RUnlock()
	if issue != nil {
		return nil, issue
	}
	res.Rows = make([]protocol.Row, len(rows))
	for i, v := range rows {
		res.Rows[i] = protocol.Row{Key: v.Key, Data: project(shape, v)}
	}
	return res, nil
}

func (e *Engine) readLocked(res *Result, s *subscription, l Limits) ([]*entity.Version, *query.Plan, *protocol.Issue) {
	maxRows := l.MaxRows
	if maxRows <= 0 {
		maxRows = math.MaxInt
	}
	if s.derived != nil {
		if s.derived.isHiddenLocked(l.Clearance) {
			return nil, nil, unknownView(s.view())
		}
		return s.derived.readLocked(res, s, maxRows)
	}
	t := s.base.root.typ
	res.Position.Seq, _ = t.LastLocked()
	e.dropLimitLocked(s)
	var rows []*entity.Version
	var count int
	if key, isOne := s.entityKey(); isOne {
		rows = e.readKeyLocked(res, s, key)
		count = len(rows)
	} else {
		rows, count = e.readListLocked(res, s, maxRows)
	}
	if count > maxRows {
		return nil, nil, tooManyRows(count, maxRows)
	}
	return rows, nil, nil
}

// dropLimitLocked keeps a whole view from being cut that a client asked for as a page of changes:
// no position would lead to the rows that were cut off.
func (e *Engine) dropLimitLocked(s *subscription) {
	asked := s.asked()
	if !asked.HasAfter || !asked.HasLimit {
		return
	}
	if _, isKnown := e.entities.SinceLocked(s.base.root.typ, asked.After); !isKnown {
		asked.Limit, asked.HasLimit = 0, false
		s.terms = asked.kept()
	}
}

func tooManyRows(rows, limit int) *protocol.Issue {
	return protocol.IssueSnapshotLimit.Withf("The snapshot has %d rows, %d are allowed", rows, limit)
}

func (n *derivedView) readLocked(res *Result, s *subscription, maxRows int) ([]*entity.Version, *query.Plan, *protocol.Issue) {
	res.Position.Seq, _ = n.root.Load().typ.LastLocked()
	res.Total, res.IsWhole = n.rows.Len(), true
	low, high := n.boundsLocked(partOf(s))
	if count := n.rows.Count(low, high); count > maxRows {
		return nil, nil, tooManyRows(count, maxRows)
	}
	return n.rows.Between(low, high), n.shape, nil
}

func (e *Engine) readKeyLocked(res *Result, s *subscription, key string) []*entity.Version {
	t, st := s.base.root.typ, e.keyCatchUpLocked(s)
	if res.IsWhole = !st.IsResumed; st.IsResumed && !st.IsWanted {
		res.Position = s.asked().After // nothing after it is told
	}
	if t.GetLocked(key) != nil {
		res.Total = 1
	} else if s.asked().HasAfter {
		res.Deleted = []string{key}
	}
	if v := st.Find(t, key); v != nil {
		return []*entity.Version{v}
	}
	return nil
}

// readListLocked returns nothing, and how many rows there would be, when these are too many.
func (e *Engine) readListLocked(res *Result, s *subscription, maxRows int) (rows []*entity.Version, count int) {
	t, r := s.base.root.typ, s.asked().Request
	res.Total = t.LenLocked()
	st, count := catchup.NewList(e.entities, t, r)
	if res.IsWhole = st.IsWhole(); count > maxRows {
		return nil, count
	}
	p := st.Page(t, r, count)
	res.Position, res.Deleted = p.End, p.Deleted
	return p.Rows, count
}
