package embedded_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/webhook"
)

// unpack makes a copy of a data directory that an earlier Millrace has left.
func unpack(t *testing.T, commit string) (folder string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", commit, "data.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "data")
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.Mkdir(path, 0o700)
		} else {
			var text []byte
			if text, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, text, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// version is that of the schema in a folder that no store has open.
func version(t *testing.T, folder string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	setting   = regexp.MustCompile(`"(max_connections|enabled)":\w+`)
	eventTime = regexp.MustCompile(`,"time_ms":\d+`)
)

// found is what a test looks for in a store, as lines.
func found(t *testing.T, s *embedded.Store) (lines []string) {
	t.Helper()
	ctx, now := t.Context(), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	err := errors.Join(
		s.LoadEntities(ctx, now, func(r owner.Record) error {
			data, _, _ := strings.Cut(string(r.Data), `,"_seq"`)
			add("entity %s %s %s number=%d deleted=%v %s", r.App, r.Type, r.Key, r.Number, r.IsDeleted, data)
			return nil
		}, func(owner.Receipt) error { return nil }),
		s.LoadDefinitions(ctx, func(app string, definition []byte) error {
			add("definition %s %s", app, definition)
			return nil
		}),
		s.LoadRevocations(ctx, now, func(app, id string, until time.Time) error {
			add("revocation %s %s until %d", app, id, until.Unix())
			return nil
		}),
		s.LoadApps(ctx, func(r app.Record) error {
			add("app %s with %v, version %d, settings %v", r.ID, r.Keys, r.Version, setting.FindAllString(string(r.Document), -1))
			return nil
		}),
		s.LoadWebhooks(ctx, webhook.Loader{
			Part: func(p webhook.Part) error {
				add("webhook for %s %s: %d events %s", p.App, p.Endpoint, p.Count, eventTime.ReplaceAllString(string(p.Events), ""))
				return nil
			},
			Letter: func(l webhook.Letter) error {
				add("dead letter %d of %s", l.Number, l.App)
				return nil
			},
			Subject: func(s webhook.Subject) error {
				add("present in %s: %s %s", s.App, s.Channel, s.User)
				return nil
			},
			Sequence: func(s webhook.Sequence) error {
				add("sequence of %s: %d", s.App, s.Last)
				return nil
			},
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// A data directory of a87ee2c, which was killed, opens, is migrated and keeps what it has. A program
// that is older than what has migrated it refuses it.
func TestADataDirectoryOfAnEarlierVersionKeepsEverything(t *testing.T) {
	t.Parallel()
	folder := unpack(t, "a87ee2c")
	want := []string{
		`app three with [key-three], version 2, settings ["enabled":false]`,
		`app two with [key-two], version 2, settings ["max_connections":12]`,
		`definition one {"id":"Card/top","source":"Card/list","mode":"list","sort":[{"field":"rank","order":"desc"}],"limit":3}`,
		`entity one Card card-1 number=1 deleted=false {"title":"Card 1","rank":1`,
		`entity one Card card-2 number=6 deleted=false {"title":"Card 2","rank":22,"tags":["new"]`,
		`entity one Card card-3 number=3 deleted=false {"title":"Card 3","rank":3`,
		`entity one Card card-4 number=4 deleted=false {"title":"Card 4","rank":4`,
		"entity one Card card-5 number=7 deleted=true ",
		"present in one: waiting ",
		"revocation one token-1 until 4070908800",
		`webhook for one 1: 1 events {"name":"channel_occupied","channel":"waiting"}`,
	}
	for range 2 { // migrated, then opened as any other
		s, stop := open(t, folder)
		if diff := cmp.Diff(want, found(t, s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		stop()
	}
	now := version(t, folder)
	if now < 4 {
		t.Errorf("the schema has version %d after the migration", now)
	}
	execute(t, filepath.Join(folder, "millrace.db"), fmt.Sprintf("PRAGMA user_version = %d", now+1))
	_, err := embedded.Open(context.Background(), embedded.Options{Path: folder})
	if !errors.Is(err, embedded.ErrTooNew) || !strings.Contains(err.Error(), "run the newer Millrace, or restore the backup made before it") {
		t.Errorf("an older program says %v", err)
	}
}
