package derived

import (
	"bytes"
	"math"
	"strings"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/ordered"
	"github.com/millrace/millrace/internal/query"
)

// Absent is the rank of a row that is not there. No window reaches it.
const Absent = math.MaxInt

// TotalKey is the key of an aggregate's one row.
const TotalKey = "all"

// Rows are the rows of one derived view. Without a plan there are none.
//
// Invariants: members has exactly the latest versions of those entities that the source
// shows and the filter lets through, each under the sort key of that version.
type Rows struct {
	plan    *query.Plan
	members *ordered.Tree[member]
	totals  *query.Totals   // aggregates only
	row     *entity.Version // aggregates only: the row that is shown, under TotalKey
}

// member is an entity's place in a view.
type member struct {
	sort query.SortKey
	v    *entity.Version
}

// compareMembers asks most pairs for nothing but a number.
//
//millrace:hot BenchmarkMove TestMoveAllocs
func compareMembers(a, b member) int {
	switch {
	case a.sort.Prefix < b.sort.Prefix:
		return -1
	case a.sort.Prefix > b.sort.Prefix:
		return 1
	}
	if c := strings.Compare(a.sort.Rest, b.sort.Rest); c != 0 {
		return c
	}
	return strings.Compare(a.v.Key, b.v.Key)
}

// New makes rows without a plan.
func New() *Rows { return &Rows{members: ordered.New(compareMembers)} }

// Plan is nil if there are no rows.
func (r *Rows) Plan() *query.Plan { return r.plan }

// SetPlan changes the plan, nil for none. Then the rows are filled again: Reset, then Include with
// everything that the source shows, then SumUp.
func (r *Rows) SetPlan(p *query.Plan) { r.plan = p }

// Reset removes all rows.
func (r *Rows) Reset() {
	r.members.Clear()
	r.totals, r.row = nil, nil
	if r.plan != nil && r.plan.IsAggregate() {
		r.totals = r.plan.NewTotals()
	}
}

// Include takes in what the source shows of an entity.
func (r *Rows) Include(v *entity.Version) {
	switch {
	case !r.plan.Matches(v.Key, v.Data):
	case r.totals != nil:
		r.totals.Add(v.Data)
	default:
		r.members.Insert(r.memberOf(v))
	}
}

// IsTotal reports whether the view shows one row that is computed of all entities.
func (r *Rows) IsTotal() bool { return r.totals != nil }

// Filter is what the view makes of an entity of which its source showed before and shows after; nil is
// nothing.
func (r *Rows) Filter(before, after *entity.Version) (was, is *entity.Version) {
	if before != nil && !r.plan.Matches(before.Key, before.Data) {
		before = nil
	}
	if after != nil && !r.plan.Matches(after.Key, after.Data) {
		after = nil
	}
	return before, after
}

// Tally counts an entity that Filter has passed in the totals.
func (r *Rows) Tally(before, after *entity.Version) {
	if before != nil {
		r.totals.Remove(before.Data)
	}
	if after != nil {
		r.totals.Add(after.Data)
	}
}

// SumUp computes the row of an aggregate, as of a position. It reports what is shown in place of
// what, and whether that differs.
func (r *Rows) SumUp(seq entity.Seq) (was, is *entity.Version, isChanged bool) {
	data := r.totals.AppendJSON(nil)
	if r.row != nil && bytes.Equal(data, r.row.Data) {
		return r.row, r.row, false
	}
	was = r.row
	r.row = &entity.Version{Key: TotalKey, Data: data, Seq: seq}
	return was, r.row, true
}

// Move puts after in the place of before, which Filter has passed, and returns the ranks of both, each
// among the members of its time.
//
//millrace:hot BenchmarkMove TestMoveAllocs
func (r *Rows) Move(before, after *entity.Version) (from, to int) {
	from, to = Absent, Absent
	var gone, come member
	if after != nil {
		come = r.memberOf(after)
	}
	if before != nil {
		gone = r.memberOf(before)
		if after != nil && gone.sort == come.sort {
			to = r.members.Insert(come)
			return to, to
		}
		if rank, ok := r.members.Delete(gone); ok {
			from = rank
		}
	}
	if after != nil {
		to = r.members.Insert(come)
	}
	return from, to
}

// Cross returns the member that came into, or fell out of, the first x members because
// another moved from one rank to another. The others keep their order, so it is one at most,
// and none when the mover was on the same side of x before and after.
func (r *Rows) Cross(x, from, to int) (in, out *entity.Version) {
	switch {
	case from < x && to >= x && x <= r.members.Len():
		in = r.members.At(x - 1).v
	case from >= x && to < x && x < r.members.Len():
		out = r.members.At(x).v
	}
	return in, out
}

// memberOf is v's place, if it is one.
func (r *Rows) memberOf(v *entity.Version) member {
	return member{r.plan.SortKey(v.Data, v.Number), v}
}

// Len is the number of rows, whatever the limit.
func (r *Rows) Len() int {
	if r.totals != nil {
		return 1
	}
	return r.members.Len()
}

// Limit is how many members a view sees that derives from this one.
func (r *Rows) Limit() int {
	if limit, ok := r.plan.Limit(); ok {
		return limit
	}
	return Absent
}

// Each calls fn with the members that a view sees that derives from this one.
func (r *Rows) Each(fn func(*entity.Version)) {
	left := r.Limit()
	r.members.Ascend(0, func(m member) bool {
		if left--; left < 0 {
			return false
		}
		fn(m.v)
		return true
	})
}

// Find is the present member with a key and its rank, nil if there is none. t has the entities.
func (r *Rows) Find(t *entity.Type, key string) (*entity.Version, int) {
	if r.totals != nil {
		if key == TotalKey {
			return r.row, 0
		}
		return nil, Absent
	}
	v := t.GetLocked(key)
	if v == nil || r.plan == nil {
		return nil, Absent
	}
	rank, ok := r.members.Rank(r.memberOf(v))
	if !ok {
		return nil, Absent
	}
	return v, rank
}

// Count is how many rows are in [low, high).
func (r *Rows) Count(low, high int) int { return max(0, min(high, r.Len())-low) }

// Between returns the rows in [low, high).
func (r *Rows) Between(low, high int) (rows []*entity.Version) {
	if r.totals != nil {
		if low == 0 && high > 0 {
			rows = append(rows, r.row)
		}
		return rows
	}
	left := high - low
	if left <= 0 {
		return rows
	}
	rows = make([]*entity.Version, 0, r.Count(low, high))
	r.members.Ascend(low, func(m member) bool {
		rows = append(rows, m.v)
		left--
		return left > 0
	})
	return rows
}
