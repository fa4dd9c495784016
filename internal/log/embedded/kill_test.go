package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/log/logtest"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
)

// childCommand, followed by a folder, makes the test binary a process that appends to a log in that
// folder until it is killed.
const childCommand = "append-until-killed"

const (
	childTopics = 8
	childKeeps  = 300
)

// childOptions fold and trim all the time.
func childOptions() embedded.Options {
	return embedded.Options{
		Node: logtest.Node, FoldAt: 64 << 10, Keep: 50 * time.Millisecond, KeepBytes: 64 << 10,
		Retention: func(protocol.Topic) log.Retention { return log.Retention{Count: childKeeps} },
	}
}

func childTopic(i int) protocol.Topic {
	return protocol.Topic{App: "app", Name: fmt.Sprint("topic-", i)}
}

func childRecord(i int, serial uint64) log.Record {
	return log.Record{Topic: childTopic(i), Kind: log.KindPublication, Publication: &log.Publication{
		StreamID: fmt.Sprint("stream-", i), Serial: serial, Content: envelope.ContentText,
		Data: fmt.Appendf(nil, "%d of topic %d, and %0200d", serial, i, serial),
	}}
}

// appendUntilKilled prints the topic and the serial of each publication that was acknowledged. One of
// eight groups has two.
func appendUntilKilled(folder string) int {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := embedded.Open(ctx, db, childOptions())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tenure, _ := l.Tenure()
	var running sync.WaitGroup
	for i := range childTopics {
		running.Go(func() {
			s, err := l.Stream(ctx, childTopic(i))
			for serial := max(s.Next, 1); err == nil; serial++ {
				group := []log.Record{childRecord(i, serial)}
				if serial%8 == 0 {
					serial++
					group = append(group, childRecord(i, serial))
				}
				if _, err = l.Append(ctx, tenure, group); err == nil {
					_, err = fmt.Fprintln(os.Stdout, i, serial)
				}
			}
			fmt.Fprintln(os.Stderr, err)
		})
	}
	running.Wait()
	return 1
}

func TestAcknowledgedPublicationsSurviveKills(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var acknowledged [childTopics]uint64
	for _, atLeast := range []int{50, 900, 1, 2500, 400} {
		killAfter(t, folder, atLeast, &acknowledged)
		l := open(t, folder, childOptions())
		for i := range childTopics {
			acknowledged[i] = checkTopic(t, l, i, acknowledged[i]) // what was read once must stay, too
		}
		checkEntries(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkTopic: everything that was acknowledged is there once, in order, and at most the group that was
// under way besides, which is whole.
func checkTopic(t *testing.T, l *opened, i int, acknowledged uint64) (last uint64) {
	t.Helper()
	p, err := l.Page(t.Context(), childTopic(i), log.Query{Limit: 2 * childKeeps, WithState: true})
	if err != nil {
		t.Fatal(err)
	}
	last = max(p.Stream.Next, 1) - 1
	if last < acknowledged || last > acknowledged+2 || last > 0 && last%8 == 0 {
		t.Errorf("topic %d: %d was acknowledged, the last is %d", i, acknowledged, last)
	}
	for j := range p.Publications {
		got, serial := &p.Publications[j], p.Stream.Oldest+uint64(j)
		if want := childRecord(i, serial).Publication; got.Serial != serial || string(got.Data) != string(want.Data) {
			t.Fatalf("topic %d: %d stands where %d should: %s", i, got.Serial, serial, got.Data)
		}
	}
	if want := min(last, childKeeps); uint64(len(p.Publications)) != want {
		t.Errorf("topic %d has %d publications, want %d", i, len(p.Publications), want)
	}
	return last
}

// checkEntries: the log has the serials of each topic in order, each once.
func checkEntries(t *testing.T, l *opened) {
	t.Helper()
	from := log.Index(1)
	var last [childTopics]uint64
	check := func(_ log.Index, _ log.Term, records []log.Record) error {
		for _, r := range records {
			i := int(r.Topic.Name[len(r.Topic.Name)-1] - '0')
			if serial := r.Publication.Serial; last[i] > 0 && serial != last[i]+1 {
				t.Errorf("topic %d: %d follows %d", i, serial, last[i])
			}
			last[i] = r.Publication.Serial
		}
		return nil
	}
	for {
		err := l.Read(t.Context(), from, check)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), log.ErrTrimmed.Error()) {
			t.Fatal(err)
		}
		from++
	}
}

// killAfter runs a child until it has acknowledged so many publications, and kills it.
func killAfter(t *testing.T, folder string, atLeast int, acknowledged *[childTopics]uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], childCommand, folder)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ { // also what was printed before the kill took effect
		var i int
		var serial uint64
		if _, err := fmt.Sscan(lines.Text(), &i, &serial); err != nil {
			t.Errorf("the child printed %q", lines.Text())
			continue
		}
		if serial > acknowledged[i] {
			acknowledged[i] = serial
		}
		if n == atLeast {
			if err := child.Process.Kill(); err != nil {
				t.Errorf("kill: %v", err)
			}
		}
	}
	if err := child.Wait(); err == nil || n < atLeast {
		t.Fatalf("the child ended by itself after %d publications: %v", n, err)
	}
}
