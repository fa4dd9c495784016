package views

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNode boots a real server whose views are open to all.
func startNode(t *testing.T) bench.Options {
	t.Helper()
	n := testkit.Start(t, "apps.0.views.auth=open", "views.rate_limiting_enabled=false", "views.read_max_rows=100000")
	return bench.Options{
		URL: "http://" + n.Addr(), MetricsURL: "http://" + n.Server.MetricsAddr().String() + "/metrics",
		App: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret, Connections: 30, Channels: 1,
	}
}

func TestWindowAgainstAServer(t *testing.T) {
	t.Parallel()
	o := startNode(t)
	s, err := MeasureSharing(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load.Err(); err != nil {
		t.Errorf("%v %v", err, s.Load.Complaints)
	}
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
	poster, err := bench.NewPoster(&o)
	if err != nil {
		t.Fatal(err)
	}
	defer poster.Close()
	l := &lagRun{Lag: Lag{Rows: 3000}, o: o, typ: o.ChannelNames()[0], poster: poster}
	if err := Fill(t.Context(), poster, l.typ, l.Rows); err != nil {
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
	if err := l.finish(t.Context(), reader); err != nil || l.Misses[0] != nil {
		t.Fatal(err, l.Misses)
	}
	// A reader that had missed something would be found out.
	reader.rows[rankedKey(0)] = []byte(`{"rank":-1}`)
	delete(reader.rows, rankedKey(1))
	if err := reader.compare(t.Context(), &l.o, l.typ+"/list"); err == nil {
		t.Error("a wrong row and a missing one are not found")
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
