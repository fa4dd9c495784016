package telemetry

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Start begins a span inside the server, below the span of ctx if there is one. end ends it; a
// cause that is not nil marks it failed.
func (t *Telemetry) Start(ctx context.Context, name string) (_ context.Context, end func(err error)) {
	if t == nil {
		return ctx, endNothing
	}
	ctx, span := t.tracer.Start(ctx, name)
	if !span.IsRecording() {
		return ctx, endNothing
	}
	return ctx, func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

func endNothing(error) {}

// Middleware makes one span for each request that next answers, named for its route, as part
// of the caller's trace if there is one (W3C traceparent). WebSocket upgrades have none: they
// last as long as their connection. A nil *Telemetry gives next itself.
func (t *Telemetry) Middleware(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, r)
			return
		}
		t.serve(next, w, r)
	})
}

func (t *Telemetry) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	method, path := method(r.Method), route(r.URL.Path)
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, method+" "+path, trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		next.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	recorder := &statusWriter{ResponseWriter: w}
	returned := false
	defer func() { // also when next panics
		status := recorder.status
		if status == 0 && returned {
			status = http.StatusOK
		}
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", path))
		if status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		if status == 0 || status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}()
	next.ServeHTTP(recorder, r.WithContext(ctx))
	returned = true
}

// statusWriter remembers the status. http.ResponseController sees through it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // 1xx come before the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// method is a method of HTTP, or "_OTHER": callers could make up any number of them.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "_OTHER"
	}
}

// maxSegments of a path make its route; no endpoint has more.
const maxSegments = 6

// route is a path without what callers choose: ids, names and keys become {id}, several in a row
// one. What follows /apps/ is always an id.
func route(path string) string {
	var b strings.Builder
	isID, wasApps := false, false
	for i, segment := range strings.Split(strings.Trim(path, "/"), "/") {
		if i == maxSegments {
			break
		}
		if !wasApps && isEndpoint(segment) {
			b.WriteByte('/')
			b.WriteString(segment)
			isID = false
		} else if !isID {
			b.WriteString("/{id}")
			isID = true
		}
		wasApps = segment == "apps" && i == 0
	}
	return b.String()
}

// isEndpoint reports whether a segment is one of the API's own words.
func isEndpoint(segment string) bool {
	switch segment {
	case "", "apps", "events", "batch_events", "channels", "users", "terminate_connections",
		"views", "mutations", "revocations", "tokens", "ws", "sessions", ".well-known", "jwks.json",
		"up", "live", "ready", "health", "healthz", "readiness", "status", "metrics":
		return true
	default:
		return false
	}
}
