package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/httpapi/apitest"
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
	r := httptest.NewRequest("POST", apitest.Signed("POST", "/apps/77/events", text, "mill-key", time.Now()), body)
	b := rewound{r, body, text}
	r.Body = b
	return b
}

func TestPublishAllocs(t *testing.T) {
	bustest.SkipIfSlow(t)
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	n := apitest.New(t, nil)
	request, w := publishRequest(strings.Repeat("x", 100)), &sink{header: http.Header{}}
	allocs := testing.AllocsPerRun(200, func() {
		if n.API.ServeHTTP(w, request.again()); w.status != 200 {
			t.Fatalf("status %d", w.status)
		}
	})
	// The event's name, channel and data, and what the engine makes of it.
	if allocs > 4 {
		t.Errorf("%v allocations per publish, want at most 4", allocs)
	}
}

func BenchmarkPublishHandler(b *testing.B) {
	const price = `{\"price\":12,\"t\":\"a b\"}` // as libraries send it: JSON in a string
	for name, data := range map[string]string{
		"data=100": strings.Repeat("x", 100), "data=10KB": strings.Repeat("x", 10<<10),
		"data=100_json": strings.Repeat(price, 4), "data=1KB_json": strings.Repeat(price, 40), "data=10KB_json": strings.Repeat(price, 360),
	} {
		b.Run(name, func(b *testing.B) {
			n := apitest.New(b, nil)
			request, w := publishRequest(data), &sink{header: http.Header{}}
			b.ReportAllocs()
			b.SetBytes(int64(len(request.text)))
			for b.Loop() {
				if n.API.ServeHTTP(w, request.again()); w.status != 200 {
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
	for name, change := range map[string]func(a *app.App, o *apitest.Options){
		"limits=off": nil,
		"limits=on": func(a *app.App, o *apitest.Options) {
			a.Limits.MaxBackendEventsPerSecond = many
			o.Requests = limit.Rate{Max: many, Per: time.Minute}
		},
	} {
		b.Run(name, func(b *testing.B) {
			n := apitest.New(b, change)
			request, w := publishRequest(strings.Repeat("x", 100)), &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				if n.API.ServeHTTP(w, request.again()); w.status != 200 {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}
