package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/store/storetest"
)

func TestAppConformance(t *testing.T) {
	t.Parallel()
	storetest.RunApps(t, suite(func(s *embedded.Store) app.Store { return s }))
}

// numberedApp is what the child puts in place of a version: everything in it says which.
func numberedApp(version uint64) app.Record {
	return app.Record{
		ID: "app", Version: version,
		Keys:     []string{fmt.Sprintf("first-%d", version), fmt.Sprintf("second-%d", version)},
		Document: fmt.Appendf(nil, `{"after":%d}`, version),
	}
}

// puts prints each version of an app that was acknowledged, in the folder that is its argument.
func puts(args []string) error {
	ctx := context.Background()
	s, err := embedded.Open(ctx, embedded.Options{Path: args[0]})
	if err != nil {
		return err
	}
	for version := uint64(0); ; {
		r, err := s.PutApp(ctx, numberedApp(version))
		if err != nil {
			return err
		}
		version = r.Version
		fmt.Fprintln(os.Stdout, version)
	}
}

func loadedApps(t *testing.T, s *embedded.Store) (all []app.Record) {
	t.Helper()
	if err := s.LoadApps(t.Context(), func(r app.Record) error { all = append(all, r); return nil }); err != nil {
		t.Fatalf("LoadApps: %v", err)
	}
	return all
}

func TestAcknowledgedAppsSurviveAKill(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	acknowledged := killAfter(t, "puts", folder, 40)
	s, _ := open(t, folder)
	all := loadedApps(t, s)
	if len(all) != 1 || all[0].Version < acknowledged {
		t.Fatalf("version %d was acknowledged, got %+v", acknowledged, all)
	}
	want := numberedApp(all[0].Version - 1)
	want.Version, want.Changed = all[0].Version, all[0].Changed
	if diff := cmp.Diff(want, all[0]); diff != "" {
		t.Errorf("the app is not whole (-want +got):\n%s", diff)
	}
}

func TestAFileFromBeforeAppsKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s, stop := open(t, folder)
	if err := s.CommitEntities(t.Context(), &owner.Commit{Records: numbered(1, 10, 20)}); err != nil {
		t.Fatal(err)
	}
	stop()
	execute(t, filepath.Join(folder, "millrace.db"), "DROP TABLE apps; DROP TABLE app_keys; DROP TABLE signatures; DROP TABLE health; DROP TABLE runs; "+
		"DROP TABLE log_state; DROP TABLE log_entries; DROP TABLE log_topics; DROP TABLE log_blocks; DROP TABLE log_told; DROP TABLE log_apps; PRAGMA user_version = 2")
	s, _ = open(t, folder)
	if got := loaded(t, s); len(got) != 10 {
		t.Errorf("got %d entities, want 10", len(got))
	}
	if _, err := s.PutApp(t.Context(), numberedApp(0)); err != nil {
		t.Errorf("PutApp: %v", err)
	}
	if got := loadedApps(t, s); len(got) != 1 {
		t.Errorf("got %d apps, want 1", len(got))
	}
}
