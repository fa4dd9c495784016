package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/limit"
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

func publishRequest(data string) rewound {
	text := `{"name":"tick","channel":"prices","data":"` + data + `"}`
	body := strings.NewReader(text)
	r := httptest.NewRequest("POST", signedTarget("POST", "/apps/77/events", text, "mill-key", time.Now()), body)
	b := rewound{r, body, text}
	r.Body = b
	return b
}

func TestPublishAllocs(t *testing.T) {
	bustest.SkipIfSlow(t)
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	n := newNode(t, nil)
	request, w := publishRequest(strings.Repeat("x", 100)), &sink{header: http.Header{}}
	allocs := testing.AllocsPerRun(200, func() {
		if n.api.ServeHTTP(w, request.again()); w.status != 200 {
			t.Fatalf("status %d", w.status)
		}
	})
	// The event's name, channel and data, and what the engine makes of it.
	if allocs > 4 {
		t.Errorf("%v allocations per publish, want at most 4", allocs)
	}
}

func BenchmarkPublishHandler(b *testing.B) {
	const tick = `{\"price\":12,\"t\":\"a b\"}` // as libraries send it: JSON in a string
	for name, data := range map[string]string{
		"data=100": strings.Repeat("x", 100), "data=10KB": strings.Repeat("x", 10<<10),
		"data=100_json": strings.Repeat(tick, 4), "data=1KB_json": strings.Repeat(tick, 40), "data=10KB_json": strings.Repeat(tick, 360),
	} {
		b.Run(name, func(b *testing.B) {
			n := newNode(b, nil)
			request, w := publishRequest(data), &sink{header: http.Header{}}
			b.ReportAllocs()
			b.SetBytes(int64(len(request.text)))
			for b.Loop() {
				if n.api.ServeHTTP(w, request.again()); w.status != 200 {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}

// BenchmarkPublishLimits compares a publish with all limits on and with none, without what
// net/http and the system add to both.
func BenchmarkPublishLimits(b *testing.B) {
	const many = 1 << 30
	for name, change := range map[string]func(a *app.App, o *httpapi.Options){
		"limits=off": nil,
		"limits=on": func(a *app.App, o *httpapi.Options) {
			a.Limits.MaxBackendEventsPerSecond = many
			o.Requests = limit.Rate{Max: many, Per: time.Minute}
		},
	} {
		b.Run(name, func(b *testing.B) {
			n := newNode(b, change)
			request, w := publishRequest(strings.Repeat("x", 100)), &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				if n.api.ServeHTTP(w, request.again()); w.status != 200 {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}

// taken is an entity engine that takes every batch and does nothing.
type taken struct{ mutations int }

func (t *taken) Apply(_ context.Context, b *entity.Batch) (entity.Seq, error) {
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
	r := httptest.NewRequest("POST", signedTarget("POST", "/apps/77/mutations", text, "mill-key", time.Now()), body)
	b := rewound{r, body, text}
	r.Body = b
	return b
}

func takingNode(t testing.TB) *node {
	return newNode(t, func(_ *app.App, o *httpapi.Options) { o.Entities, o.Views = &taken{}, nil })
}

func TestMutationAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	n, w := takingNode(t), &sink{header: http.Header{}}
	measure := func(mutations int) float64 {
		request := batchRequest(mutations)
		return testing.AllocsPerRun(100, func() {
			if n.api.ServeHTTP(w, request.again()); w.status != 200 {
				t.Fatalf("status %d", w.status)
			}
		})
	}
	one, many := measure(1), measure(101)
	// Each has a key, and a path to append to with the slice it is in.
	if per := (many - one) / 100; per > 3.1 {
		t.Errorf("%v allocations per mutation, want at most 3", per)
	}
	if one > 10 {
		t.Errorf("%v allocations for one mutation, want at most 10", one)
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
				if n.api.ServeHTTP(w, request.again()); w.status != 200 {
					b.Fatalf("status %d", w.status)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "mutations/s")
		})
	}
}
