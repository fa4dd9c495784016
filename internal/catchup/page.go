package catchup

import (
	"math"

	"github.com/millrace/millrace/internal/entity"
)

// Page is the snapshot of a List, read at once.
type Page struct {
	Rows    []*entity.Version
	End     entity.Cursor // where the changes end that the page has; of the last page the present
	IsLast  bool
	Deleted []string // with Request.After: keys deleted since, as far as they are known
}

// Page reads the first n rows of the snapshot of l, which was made for r.
func (l *List) Page(t *entity.Type, r Request, n int) Page {
	p := Page{Rows: l.read(t, n), IsLast: true}
	end := l.head
	if l.isAscending && t.CountAfterLocked(l.next) > n {
		p.IsLast = false
		p.End, end = r.After, l.next
		if len(p.Rows) > 0 {
			last := p.Rows[len(p.Rows)-1]
			p.End, end = t.CursorAtLocked(last), last.Number
		}
	}
	if p.IsLast {
		p.End.Seq, _ = t.LastLocked()
	}
	if r.HasAfter {
		for _, d := range t.DeletedAfterLocked(nil, l.dead, math.MaxInt) {
			if d.Number > end {
				break
			}
			p.Deleted = append(p.Deleted, d.Key)
		}
	}
	return p
}
