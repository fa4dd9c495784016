package embedded

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// publish appends and folds a publication of 1,000 bytes to a topic, decided at the present time.
func (l *opened) publish(app, name string, serial uint64) {
	l.t.Helper()
	t := protocol.Topic{App: app, Name: name}
	_, err := l.Append(l.t.Context(), l.tenure, []log.Record{{Topic: t, Kind: log.KindPublication, Publication: &log.Publication{
		Time: l.o.Now().UnixMilli(), StreamID: "s", Serial: serial, Content: envelope.ContentText, Data: bytes.Repeat([]byte("x"), 1000),
	}}})
	if err == nil {
		err = l.Fold(l.t.Context())
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// fit makes the log smaller, if it is too large, and tells what is kept of each app and the oldest of each topic.
func (l *opened) fit(topics ...protocol.Topic) string {
	var all []string
	l.t.Helper()
	if err := l.ask(l.t.Context(), l.folder.fit); err != nil {
		l.t.Fatal(err)
	}
	usage, err := l.Usage(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, u := range usage {
		all = append(all, fmt.Sprintf("%s %d", u.App, u.Publications))
	}
	for _, t := range topics {
		s, err := l.Stream(l.t.Context(), t)
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s/%s from %d", t.App, t.Name, s.Oldest))
	}
	return strings.Join(all, ", ")
}

// TestTheLogKeepsItsBound: the oldest of the app that has most goes, in any of its topics, and not what was just
// published.
func TestTheLogKeepsItsBound(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	l := open(t, Options{MaxBytes: 100 << 10, Log: slog.New(slog.NewTextHandler(&text, nil))})
	large, small := protocol.Topic{App: "large", Name: "a"}, protocol.Topic{App: "small", Name: "a"}
	other := protocol.Topic{App: "large", Name: "b"}
	for i := range uint64(10) {
		l.now.Store(int64(i) * 1000)
		l.publish("small", "a", i+1)
	}
	for i := range uint64(70) {
		l.now.Store(int64(i) * 1000)
		l.publish("large", "a", i+1)
	}
	if got, want := l.fit(large, small), "large 70, small 10, large/a from 1, small/a from 1"; got != want || text.Len() > 0 {
		t.Errorf("below the bound: %s; want %s\n%s", got, want, &text)
	}
	for i := range uint64(40) {
		l.now.Store(int64(70+i) * 1000)
		l.publish("large", "b", i+1)
	}
	if got, want := l.fit(large, other, small), "large 88, small 10, large/a from 23, large/b from 1, small/a from 1"; got != want {
		t.Errorf("beyond the bound: %s; want %s", got, want)
	}
	if n := strings.Count(text.String(), "near its bound"); n != 1 {
		t.Errorf("the operator was warned %d times:\n%s", n, &text)
	}
	l.now.Add(3000)
	for i := range uint64(200) {
		l.publish("large", "new", i+1)
	}
	if got, want := l.fit(large, other, small), "large 207, small 10, large/a from 71, large/b from 34, small/a from 1"; got != want {
		t.Errorf("all that is beyond it was just published: %s; want %s", got, want)
	}
	l.publish("large", "a", 71)
	if s, err := l.Stream(t.Context(), large); err != nil || s.Oldest != 71 || s.Next != 72 {
		t.Errorf("a topic of which all was removed goes on: %+v, %v", s, err)
	}
}

func TestTheDefaultBoundIsHalfOfTheFreeDisk(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	free, isKnown := l.db.FreeSpace()
	if half := int64(free / 2); isKnown && (l.maxBytes < half-half/4 || l.maxBytes > half+half/4) { //nolint:gosec // of a disk
		t.Errorf("the bound is %d, %d are free", l.maxBytes, free)
	}
}
