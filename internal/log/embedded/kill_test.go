package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/log/embedded"
	"github.com/millrace/millrace/internal/log/logtest"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/sqlite"
	"github.com/millrace/millrace/internal/testkit/killtest"
)

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

// childGroup has the publications of a topic from one serial to another, and after every fourth an edge: its users come one after
// the other, and then go.
func childGroup(i int, from, to uint64) (group []log.Record) {
	for serial := from; serial <= to; serial++ {
		group = append(group, childRecord(i, serial))
		if e := childEdge(serial); e != nil {
			group = append(group, log.Record{Topic: childTopic(i), Kind: log.KindEdge, Edge: e})
		}
	}
	return group
}

// childEdge is the edge after a serial, nil if there is none.
func childEdge(serial uint64) *log.Edge {
	const users = 5
	if serial%4 != 1 {
		return nil
	}
	e := &log.Edge{ID: fmt.Sprint("edge-", serial), Kind: log.EdgeMember, User: fmt.Sprint("user-", serial/4%users), Time: int64(serial)}
	if e.Is = serial/4/users%2 == 0; e.Is {
		e.Node, e.Life = logtest.Node, serial
	}
	return e
}

// checkTold: what is told of a topic is the state after its last publication.
func checkTold(t *testing.T, l *opened, i int, last uint64) {
	t.Helper()
	want := map[string]log.Present{}
	for serial := uint64(1); serial <= last; serial++ {
		if e := childEdge(serial); e != nil && e.Is {
			want[e.User] = e.Present(childTopic(i))
		} else if e != nil {
			delete(want, e.User)
		}
	}
	got := map[string]log.Present{}
	for p, err := range l.Told(t.Context(), "app") {
		if err != nil {
			t.Fatal(err)
		}
		if p.Topic == childTopic(i) {
			got[p.User] = p
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("topic %d: after %d publications, told is %v, want %v", i, last, got, want)
	}
}

// appends prints the topic and the serial of each publication that was acknowledged, in the log of the folder
// that is its first argument. One of eight groups has two. A second argument is a folder for copies: it
// makes one after the other there, and prints the name of each when it is whole: its number, and the last
// serial of each topic that was acknowledged when it began.
func appends(args []string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: args[0]})
	if err != nil {
		return err
	}
	l, err := embedded.Open(ctx, db, childOptions())
	if err != nil {
		return err
	}
	tenure, _ := l.Tenure()
	var acknowledged [childTopics]atomic.Uint64
	failed := make(chan error, childTopics+1)
	for i := range childTopics {
		go func() {
			s, err := l.Stream(ctx, childTopic(i))
			for serial := max(s.Next, 1); err == nil; serial++ {
				from := serial
				if serial%8 == 0 {
					serial++
				}
				if _, err = l.Append(ctx, tenure, childGroup(i, from, serial)); err == nil {
					acknowledged[i].Store(serial)
					_, err = fmt.Fprintln(os.Stdout, i, serial)
				}
			}
			failed <- err
		}()
	}
	if len(args) > 1 {
		go func() {
			var err error
			for n := 1; err == nil; n++ {
				err = writeCopy(ctx, l, args[1], n, &acknowledged)
			}
			failed <- err
		}()
	}
	return <-failed
}

func writeCopy(ctx context.Context, l *embedded.Log, folder string, n int, acknowledged *[childTopics]atomic.Uint64) error {
	numbers := []string{strconv.Itoa(n)}
	for i := range acknowledged {
		numbers = append(numbers, strconv.FormatUint(acknowledged[i].Load(), 10))
	}
	name := strings.Join(numbers, "-")
	c, err := l.Copy(ctx)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	size, err := io.Copy(f, c)
	if err == nil && size != c.Size {
		err = fmt.Errorf("the copy has %d bytes, want %d", size, c.Size)
	}
	if err := errors.Join(err, f.Close(), c.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, "copied", name)
	return err
}

func TestAcknowledgedPublicationsSurviveKills(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var acknowledged [childTopics]uint64
	for _, atLeast := range []int{50, 900, 1, 2500, 400} {
		killAfter(t, atLeast, &acknowledged, folder)
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
	if last = checkWhole(t, l, i); last < acknowledged || last > acknowledged+2 {
		t.Errorf("topic %d: %d was acknowledged, the last is %d", i, acknowledged, last)
	}
	return last
}

// checkWhole: a topic has whole groups, in order, each publication once.
func checkWhole(t *testing.T, l *opened, i int) (last uint64) {
	t.Helper()
	p, err := l.Page(t.Context(), childTopic(i), log.Query{Limit: 2 * childKeeps, WithState: true})
	if err != nil {
		t.Fatal(err)
	}
	last = max(p.Stream.Next, 1) - 1
	if last > 0 && last%8 == 0 {
		t.Errorf("topic %d: the last is %d, of a group of two", i, last)
	}
	for j := range p.Publications {
		got, serial := &p.Publications[j], p.Stream.Oldest+uint64(j)
		if want := childRecord(i, serial).Publication; got.Serial != serial || string(got.Data) != string(want.Data) {
			t.Fatalf("topic %d: %d stands where %d should: %s", i, got.Serial, serial, got.Data)
		}
	}
	checkTold(t, l, i, last)
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
			if r.Kind == log.KindEdge {
				continue
			}
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

// killAfter kills appends after so many lines, and notes what was acknowledged and which copies were made.
func killAfter(t *testing.T, atLeast int, acknowledged *[childTopics]uint64, folders ...string) (copies []string) {
	t.Helper()
	killtest.After(t, atLeast, func(_ int, line string) {
		if name, isCopy := strings.CutPrefix(line, "copied "); isCopy {
			copies = append(copies, name)
			return
		}
		var i int
		var serial uint64
		if _, err := fmt.Sscan(line, &i, &serial); err != nil {
			t.Errorf("the process printed %q", line)
			return
		}
		acknowledged[i] = max(acknowledged[i], serial)
	}, "appends", folders...)
	return copies
}

// A copy that was made under appends has what was acknowledged before it, and can be installed, whatever
// becomes of the process that has made it.
func TestCopiesUnderAppendsAndKills(t *testing.T) {
	t.Parallel()
	folder, copies, installed := t.TempDir(), t.TempDir(), t.TempDir()
	var acknowledged [childTopics]uint64
	n := 0
	for _, atLeast := range []int{200, 1500, 700} {
		made := killAfter(t, atLeast, &acknowledged, folder, copies)
		n += len(made)
		for _, name := range made[max(0, len(made)-4):] {
			f, err := os.Open(filepath.Join(copies, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(embedded.Install(t.Context(), installed, f), f.Close()); err != nil {
				t.Fatal(err)
			}
			checkCopy(t, installed, name)
		}
		l := open(t, folder, childOptions())
		for i := range childTopics {
			acknowledged[i] = checkTopic(t, l, i, acknowledged[i])
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := filepath.Glob(filepath.Join(folder, "*.copy-*")); err != nil || len(left) > 0 {
			t.Errorf("unfinished copies are left: %v, %v", left, err)
		}
	}
	if n == 0 {
		t.Error("no copy was made")
	}
}

// checkCopy wants a log with what a copy of that name must have, which goes on behind it.
func checkCopy(t *testing.T, folder, name string) {
	t.Helper()
	l := open(t, folder, childOptions())
	tenure, _ := l.Tenure()
	for i, text := range strings.Split(name, "-")[1:] {
		least, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		last := checkWhole(t, l, i)
		if last < least {
			t.Errorf("copy %s: topic %d ends with %d", name, i, last)
		}
		if _, err := l.Append(t.Context(), tenure, childGroup(i, last+1, last+1)); err != nil {
			t.Errorf("copy %s: topic %d: %v", name, i, err)
		}
	}
	checkEntries(t, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// installs puts the copies that are its arguments in the place of one another in a folder, which is the
// first.
func installs(args []string) error {
	for i := 1; ; i = i%(len(args)-1) + 1 {
		f, err := os.Open(args[i])
		if err == nil {
			err = errors.Join(embedded.Install(context.Background(), args[0], f), f.Close())
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, i)
	}
}

// A kill during an installation leaves one of the two databases, whole.
func TestInstallationsThatAreKilled(t *testing.T) {
	t.Parallel()
	const short, long = 3, 900
	var files []string
	for _, last := range []uint64{short, long} {
		folder := t.TempDir()
		l := open(t, folder, childOptions())
		tenure, _ := l.Tenure()
		if _, err := l.Append(t.Context(), tenure, childGroup(0, 1, last)); err != nil {
			t.Fatal(err)
		}
		c, err := l.Copy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err := errors.Join(err, c.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(folder, "copy"))
		if err := os.WriteFile(files[len(files)-1], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	for _, atLeast := range []int{1, 2, 5, 8} {
		killtest.After(t, atLeast, func(int, string) {}, "installs", append([]string{folder}, files...)...)
		l := open(t, folder, childOptions())
		if last := checkWhole(t, l, 0); last != short && last != long {
			t.Errorf("the log ends with %d, want %d or %d", last, short, long)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := filepath.Glob(filepath.Join(folder, "*.install-*")); err != nil || len(left) > 0 {
			t.Errorf("unfinished installations are left: %v, %v", left, err)
		}
	}
}
