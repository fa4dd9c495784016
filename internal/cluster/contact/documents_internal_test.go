package contact

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/cluster"
)

func document(app string, number uint64, size int) *cluster.Document {
	return &cluster.Document{App: app, Number: number, ID: fmt.Sprintf("change-%d", number), Body: make([]byte, size)}
}

// TestDocumentsInPages: a reader that takes page after page gets the last document of each app, in order, and ends with the
// number up to which all is stored.
func TestDocumentsInPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sizes    []int // of the documents
		maxBytes int
		pages    int
	}{
		"none":                               {nil, 1000, 0},
		"one page":                           {[]int{10, 10, 10}, 1000, 1},
		"several":                            {[]int{400, 400, 400, 400}, 1000, 2},
		"one that exceeds a page is a page":  {[]int{5000, 5000}, 1000, 2},
		"a small one before that is another": {[]int{10, 5000, 10}, 1000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newDocuments()
			for i, size := range c.sizes {
				s.apply(document(fmt.Sprintf("app-%d", i), uint64(i+1), size)) //nolint:gosec // small
			}
			var has uint64
			pages, documents := 0, 0
			for has < s.number {
				ds, upTo := s.after(has, c.maxBytes)
				for i := range ds {
					if has++; ds[i].Number != has {
						t.Fatalf("page %d has change %d, want %d", pages, ds[i].Number, has)
					}
				}
				if upTo != has || len(ds) == 0 {
					t.Fatalf("page %d, with %d documents, ends with %d, want %d", pages, len(ds), upTo, has)
				}
				documents += len(ds)
				pages++
			}
			if pages != c.pages || documents != len(c.sizes) {
				t.Errorf("%d documents in %d pages, want %d in %d", documents, pages, len(c.sizes), c.pages)
			}
		})
	}
}

// TestADocumentTakesThePlaceOfTheOneBefore, and a change that is applied again changes nothing.
func TestADocumentTakesThePlaceOfTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newDocuments()
	for _, d := range []*cluster.Document{document("a", 1, 1), document("b", 2, 2), document("a", 3, 3), document("b", 2, 2), document("a", 1, 1)} {
		s.apply(d)
	}
	ds, upTo := s.after(0, 1000)
	if len(ds) != 2 || ds[0].Number != 2 || ds[1].Number != 3 || upTo != 3 {
		t.Errorf("got %v up to %d", ds, upTo)
	}
	if number, ok := s.find("change-1"); !ok || number != 1 {
		t.Errorf("the first change is number %d (%v), want 1", number, ok)
	}
}

// TestNumbersOfChanges are dense: a number that is not stored is the next one's.
func TestNumbersOfChanges(t *testing.T) {
	t.Parallel()
	s := newDocuments()
	s.apply(document("a", 1, 1))
	s.beginTerm()
	expect := func(want uint64) {
		t.Helper()
		if got := s.decide(); got != want {
			t.Errorf("the change is number %d, want %d", got, want)
		}
	}
	expect(2)
	expect(3)
	s.undecide(2)
	s.undecide(3)
	expect(2)
	s.beginTerm()
	expect(2)
}

// TestIDsOfChangesAreForgotten: the last 256 are known.
func TestIDsOfChangesAreForgotten(t *testing.T) {
	t.Parallel()
	s := newDocuments()
	for n := range uint64(300) {
		s.apply(document("a", n+1, 1))
	}
	for n := range uint64(300) {
		number, ok := s.find(fmt.Sprintf("change-%d", n+1))
		if wants := n >= 300-256; ok != wants || ok && number != n+1 {
			t.Fatalf("change %d is known as %d (%v)", n+1, number, ok)
		}
	}
}
