package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/websocket"
)

// startNode boots a real server whose views are open to all.
func startNode(t *testing.T) Options {
	t.Helper()
	n := testkit.Start(t, "apps.0.views.auth=open", "views.rate_limiting_enabled=false", "views.read_max_rows=100000")
	return Options{
		URL: "http://" + n.Addr(), MetricsURL: "http://" + n.Server.MetricsAddr().String() + "/metrics",
		App: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret, Connections: 30, Channels: 1,
	}
}

func TestFanOutOfViews(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	o.Views, o.Channels, o.Subscriptions, o.Rate, o.Duration = true, 3, 2, 100, 300*time.Millisecond
	for _, noSnapshot := range []bool{false, true} {
		o.NoSnapshot = noSnapshot
		r, err := FanOut(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Err(); err != nil {
			t.Errorf("%v %v", err, r.Complaints)
		}
		if d := r.Delivery; d.Expected != 20*r.Publishing.Accepted || d.Received != d.Expected || d.Expected == 0 {
			t.Errorf("%+v of %+v", d, r.Publishing)
		}
	}
}

func TestAnUnknownViewIsNoSubscription(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	n := testkit.Start(t, "apps.0.views.auth=open", "views.report_unknown_views=true")
	o.URL, o.MetricsURL, o.Views, o.View, o.Rate, o.Connections = "http://"+n.Addr(), "", true, "nothing", 10, 1
	if _, err := FanOut(t.Context(), o); err == nil || !strings.Contains(err.Error(), "Unknown view") {
		t.Errorf("got %v", err)
	}
}

func TestWindowAgainstAServer(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	r, err := Window(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Errorf("%v %v", err, r.Complaints)
	}
	s := r.Sharing
	want := Changes{Count: 200}
	if diff := cmp.Diff(want, s.Outside); diff != "" {
		t.Errorf("outside (-want +got):\n%s", diff)
	}
	want = Changes{Count: 20, Publications: 20, Encodings: s.Inside.Encodings, Deliveries: 600, Writes: 600, Frames: 600, Bytes: s.Inside.Bytes}
	if diff := cmp.Diff(want, s.Inside); diff != "" || s.Inside.Encodings < 20 || s.Inside.Bytes == 0 {
		t.Errorf("inside (-want +got):\n%s", diff)
	}
	if e := s.Entering; e.Publications != 40 || e.Deliveries != 1200 || e.Frames != 1200 {
		t.Errorf("entering: %+v", e)
	}
	if s.Snapshot < 20_000 || s.SnapshotSent == 0 || s.SnapshotSent > s.Snapshot/2 {
		t.Errorf("snapshot: %d bytes, %d compressed", s.Snapshot, s.SnapshotSent)
	}
}

func TestLagAgainstAServer(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	o.Views, o.Prefix, o.Rate = true, crowdPrefix, 1
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	poster, err := newPoster(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer poster.close()
	r := newReporter(ReportOptions{})
	r.report = new(Report)
	l := &lagRun{reporter: r, lag: lag{rows: 3000}, o: o, typ: o.channelNames()[0], poster: poster}
	if err := fillType(t.Context(), poster, l.typ, l.rows); err != nil {
		t.Fatal(err)
	}
	reader, err := startSlow(t.Context(), &l.o, l.typ+"/list", "fence-0")
	if err != nil {
		t.Fatal(err)
	}
	<-reader.started
	reader.stop()
	if err := l.disturb(t.Context(), 0, "fence-0"); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(t.Context(), reader); err != nil || l.misses[0] != nil {
		t.Fatal(err, l.misses)
	}
	// A reader that had missed something would be found out.
	reader.rows[rankedKey(0)] = []byte(`{"rank":-1}`)
	delete(reader.rows, rankedKey(1))
	if err := reader.compare(t.Context(), &l.o, l.typ+"/list"); err == nil || len(r.report.Faults) != 0 {
		t.Errorf("a wrong row and a missing one are %v; faults: %v", err, r.report.Faults)
	}
	gone, err := startSlow(t.Context(), &l.o, l.typ+"/list", "never")
	if err != nil {
		t.Fatal(err)
	}
	gone.stop()
	gone.close()
}

func squeeze(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSlowReaderKeepsWhatItIsSent(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, payload := range [][]byte{
		[]byte(`{"op":"subscribed","view":"T/list","mode":"list"}`),
		squeeze(t, `{"mode":"list","entity":"T/list","op":"snapshot","data":[{"key":"a","data":{"n":1}},{"key":"b","data":{"n":2}}],"complete":false}`),
		[]byte(`{"mode":"list","entity":"T/list","op":"snapshot","data":[{"key":"c","data":{"n":3}}],"complete":true}`),
		[]byte(`{"mode":"list","entity":"T/list","op":"delete","key":"b","data":null}`),
		[]byte(`{"mode":"list","entity":"T/list","op":"upsert","key":"d","data":{"n":4}}`),
		[]byte(`{"mode":"list","entity":"T/list","op":"patch","key":"a","data":{"m":[5]}}`),
	} {
		stream = websocket.AppendFrame(stream, websocket.OpBinary, payload)
	}
	s := &slowReader{rows: map[string][]byte{}}
	var waiting []byte
	for _, b := range stream { // byte by byte
		waiting = append(waiting, b)
		n, err := s.takeFrames(waiting)
		if err != nil {
			t.Fatal(err)
		}
		waiting = waiting[n:]
	}
	got := map[string]string{}
	for key, data := range s.rows {
		got[key] = string(data)
	}
	want := map[string]string{"a": `{"m":[5],"n":1}`, "c": `{"n":3}`, "d": `{"n":4}`}
	if diff := cmp.Diff(want, got); diff != "" || !s.isComplete || len(waiting) != 0 || s.arrived.Load() != 3 {
		t.Errorf("complete is %v, %d bytes are left, rows differ (-want +got):\n%s", s.isComplete, len(waiting), diff)
	}
	closing := websocket.AppendFrame(nil, websocket.OpClose, append([]byte{3, 245}, "slow-consumer: resync"...))
	if _, err := s.takeFrames(closing); err == nil || !strings.Contains(err.Error(), "slow-consumer") {
		t.Errorf("a close is %v", err)
	}
	if _, err := s.takeFrames(websocket.AppendFrame(nil, websocket.OpBinary, []byte{0x1f, 0x8b, 0})); err == nil {
		t.Error("broken gzip is taken")
	}
}

func FuzzSlowReader(f *testing.F) {
	f.Add(websocket.AppendFrame(nil, websocket.OpBinary, []byte(`{"op":"patch","key":"a","data":{"m":5}}`)))
	f.Add([]byte{0x82, 0x03, 0x1f, 0x8b, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &slowReader{rows: map[string][]byte{}}
		if n, err := s.takeFrames(b); n < 0 || n > len(b) {
			t.Errorf("used %d of %d bytes: %v", n, len(b), err)
		}
	})
}

func TestBodiesAreJSON(t *testing.T) {
	t.Parallel()
	m := newMark(1)
	for _, body := range [][]byte{
		appendMutation(nil, `a"b`, appendStamp(nil, m, stamp{}, 64)),
		subscribeMessage(`a"b/list`, true),
		subscribeMessage("a/list", false),
	} {
		if !json.Valid(body) {
			t.Errorf("%s", body)
		}
	}
	s := scanner{mark: m, size: 64}
	want := stamp{channel: 2, publisher: 1, slot: noSlot, seq: 3, at: 4}
	patch := fmt.Sprintf(`{"mode":"list","entity":"a/list","op":"patch","key":"stamped","data":{"d":"%s","_seq":"1:000000000001"},"seq":"1:000000000001"}`,
		appendStamp(nil, m, want, 64))
	if got, ok := s.find([]byte(patch)); !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
}

func TestParsePages(t *testing.T) {
	t.Parallel()
	if n, err := parseHeap([]byte("heap profile: 1: 2 [3: 4] @ heap/1\n# Alloc = 7\n# HeapAlloc = 754072\n")); n != 754072 || err != nil {
		t.Errorf("heap: %d, %v", n, err)
	}
	if _, err := parseHeap([]byte("404")); err == nil {
		t.Error("a page that is no profile has a heap")
	}
	got := parseCounters([]byte("# HELP a b\na 17\nb{x=\"1\"} 2\n"))
	if diff := cmp.Diff(map[string]float64{"a": 17, `b{x="1"}`: 2}, got); diff != "" {
		t.Error(diff)
	}
}
