package views_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi/apitest"
)

// sink is a response that is thrown away, so that the recorder's cost is not measured.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// rewound is a request whose body can be read again and again.
type rewound struct {
	r    *http.Request
	body *strings.Reader
	text string
}

func (b rewound) Close() error               { return nil }
func (b rewound) Read(p []byte) (int, error) { return b.body.Read(p) }

func (b rewound) again() *http.Request {
	b.body.Reset(b.text)
	return b.r
}

// takes is an owner that takes every batch and does nothing.
type takes struct{ mutations int }

func (t *takes) Apply(_ context.Context, b *entity.Batch) (entity.Seq, error) {
	t.mutations += len(b.Mutations)
	return entity.Seq{Slot: 1893450000123, Index: 7}, nil
}

// batchRequest is a request with so many mutations.
func batchRequest(n int) rewound {
	mutations := make([]string, n)
	for i := range mutations {
		mutations[i] = fmt.Sprintf(`{"entity":"Auction","key":"lot-%d","op":"patch","data":{"bid":{"amount":%d,"by":"u-17"},"history":[{"by":"u-17","at":1893450000}]},"append":["history"]}`, i, i)
	}
	text := `{"mutations":[` + strings.Join(mutations, ",") + `]}`
	body := strings.NewReader(text)
	r := httptest.NewRequest("POST", apitest.Signed("POST", "/apps/77/mutations", text, "mill-key", time.Now()), body)
	b := rewound{r, body, text}
	r.Body = b
	return b
}

func takingNode(t testing.TB) *apitest.Node {
	return apitest.New(t, func(_ *app.App, o *apitest.Options) { o.Views.Entities, o.Views.Views = &takes{}, nil })
}

func TestMutationAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	n, w := takingNode(t), &sink{header: http.Header{}}
	measure := func(mutations int) float64 {
		request := batchRequest(mutations)
		return testing.AllocsPerRun(100, func() {
			if n.API.ServeHTTP(w, request.again()); w.status != 200 {
				t.Fatalf("status %d", w.status)
			}
		})
	}
	one, many := measure(1), measure(101)
	// Each has a key, and a path to append to with the slice it is in.
	if per := (many - one) / 100; per > 3.1 {
		t.Errorf("%v allocations per mutation, want at most 3", per)
	}
	if one > 5 {
		t.Errorf("%v allocations for one mutation, want at most 5", one)
	}
}

// BenchmarkMutationHandler is what the API itself costs: signature, JSON, no entities.
func BenchmarkMutationHandler(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			n, request, w := takingNode(b), batchRequest(size), &sink{header: http.Header{}}
			b.ReportAllocs()
			b.SetBytes(int64(len(request.text)))
			for b.Loop() {
				if n.API.ServeHTTP(w, request.again()); w.status != 200 {
					b.Fatalf("status %d", w.status)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "mutations/s")
		})
	}
}
