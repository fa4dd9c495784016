package directory_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
)

func serves(t *testing.T, d *directory.Directory, key, id string) {
	t.Helper()
	a, err := d.Apps().ByKey(t.Context(), key)
	switch {
	case id == "" && !errors.Is(err, app.ErrNotFound):
		t.Errorf("key %s is that of %v, %v, want of none", key, a, err)
	case id != "" && (err != nil || a.ID != id):
		t.Errorf("key %s is that of %v, %v, want of %s", key, a, err, id)
	}
}

func create(t *testing.T, d *directory.Directory, document string) directory.Entry {
	t.Helper()
	e, _, err := d.Create(t.Context(), []byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return e
}

func TestAppsLiveThroughTheirChanges(t *testing.T) {
	t.Parallel()
	var told []string
	path := t.TempDir()
	store := openStore(t, path)
	d := open(t, store, file(t, text("file", "kf")), func(o *directory.Options) {
		o.Changed = func(was, is []directory.Parsed) { told = append(told, ids(was)+">"+ids(is)) }
	})
	e, made, err := d.Create(t.Context(), []byte(`{"id":"a"}`))
	if err != nil || e.Version != 1 || len(made.Key) < 16 || len(made.Secret) < 32 {
		t.Fatalf("created %+v with %v, %v", e, made, err)
	}
	serves(t, d, made.Key, "a")
	if strings.Contains(string(e.Shown), made.Secret) {
		t.Errorf("the secret is shown: %s", e.Shown)
	}
	if e, err = d.Change(t.Context(), "a", 1, []byte(`{"enabled":false,"max_connections":7}`)); err != nil || e.Version != 2 || e.App.Enabled {
		t.Fatalf("disabled %+v, %v", e, err)
	}
	if _, err = d.Change(t.Context(), "a", 1, []byte(`{"max_connections":8}`)); !errors.Is(err, app.ErrConflict) {
		t.Errorf("a change of a version that is over: %v", err)
	}
	if e, err = d.Change(t.Context(), "a", directory.AnyVersion, []byte(`{"max_connections":7}`)); err != nil || e.Version != 2 {
		t.Errorf("a change that changes nothing: version %d, %v", e.Version, err)
	}
	if e, err = d.Change(t.Context(), "a", 2, []byte(`{"enabled":null}`)); err != nil || !e.App.Enabled || e.App.Limits.MaxConnections != 7 {
		t.Fatalf("enabled %+v, %v", e, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	again := openStore(t, path)
	defer func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}()
	d = open(t, again, file(t, text("file", "kf")), nil)
	serves(t, d, made.Key, "a")
	serves(t, d, "kf", "file")
	if err := d.Delete(t.Context(), "a", 3); err != nil {
		t.Fatal(err)
	}
	serves(t, d, made.Key, "")
	if err := d.Delete(t.Context(), "a", directory.AnyVersion); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if diff := cmp.Diff([]string{"file>a file", "a file>a file", "a file>a file"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// An alias names its app wherever an id does, and is no other app's id or alias.
func TestAliases(t *testing.T) {
	t.Parallel()
	d := open(t, temporary(t), file(t, `{"id":"file","key":"kf","secret":"s","aliases":["1"]}`), nil)
	refused := func(document, path string) {
		t.Helper()
		_, _, err := d.Create(t.Context(), []byte(document))
		if invalid, ok := errors.AsType[*directory.Invalid](err); !ok || invalid.Problems[0].Path != path {
			t.Errorf("%s: got %v, want a problem of %s", document, err, path)
		}
	}
	create(t, d, `{"id":"a","key":"ka","secret":"s","aliases":["2","3"]}`)
	create(t, d, `{"id":"b","key":"kb","secret":"s"}`)
	refused(`{"id":"1"}`, "id")
	refused(`{"id":"2"}`, "id")
	refused(`{"id":"c","aliases":["9","file"]}`, "aliases[1]")
	refused(`{"id":"c","aliases":["1"]}`, "aliases[0]")
	refused(`{"id":"c","aliases":["b"]}`, "aliases[0]")
	if _, err := d.Change(t.Context(), "b", directory.AnyVersion, []byte(`{"aliases":["a"]}`)); err == nil {
		t.Error("an app took the id of another one")
	}
	if e, err := d.Get("3"); e.ID != "a" || err != nil {
		t.Errorf("got %q by an alias, %v", e.ID, err)
	}
	if _, err := d.Change(t.Context(), "1", directory.AnyVersion, []byte(`{}`)); !errors.Is(err, directory.ErrReadOnly) {
		t.Errorf("an app of the file, by its alias: %v", err)
	}
	if e, err := d.Change(t.Context(), "2", directory.AnyVersion, []byte(`{"aliases":["2","4"]}`)); err != nil || e.ID != "a" || !e.App.HasID("4") {
		t.Errorf("changed %q by an alias, %v", e.ID, err)
	}
	if _, err := d.Get("3"); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("an alias that is gone: %v", err)
	}
	// The file goes before the store, and an id before an alias, whatever their order is.
	err := d.SetFile(t.Context(), file(t, `{"id":"z","key":"kz","secret":"s","aliases":["a"]}`), nil)
	if _, ok := errors.AsType[*directory.Invalid](err); !ok {
		t.Error("an alias of the file takes the id of a stored app that is served")
	}
	if err := d.Delete(t.Context(), "4", directory.AnyVersion); err != nil {
		t.Error(err)
	}
	serves(t, d, "ka", "")
}

func ids(apps []directory.Parsed) string {
	var list []string
	for _, a := range apps {
		list = append(list, a.App.ID)
	}
	return strings.Join(list, " ")
}

func TestKeysAreAddedRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	d := open(t, temporary(t), nil, nil)
	create(t, d, text("a", "k1"))
	if _, err := d.RemoveKey(t.Context(), "a", directory.AnyVersion, "k1"); !errors.Is(err, directory.ErrLastKey) {
		t.Errorf("the only key was removed: %v", err)
	}
	_, reads, err := d.AddKey(t.Context(), "a", 1, app.Credential{Rights: app.RightsRead})
	if err != nil || reads.Rights != app.RightsRead || reads.Secret == "" {
		t.Fatalf("added %v, %v", reads, err)
	}
	if _, err := d.RemoveKey(t.Context(), "a", directory.AnyVersion, "k1"); !errors.Is(err, directory.ErrLastKey) {
		t.Errorf("a key that reads only would be the only one: %v", err)
	}
	e, fresh, err := d.Rotate(t.Context(), "a", 2)
	if err != nil || e.App.Key != fresh.Key || e.App.Secret != fresh.Secret {
		t.Fatalf("rotated %+v to %v, %v", e, fresh, err)
	}
	for _, key := range []string{"k1", fresh.Key, reads.Key} {
		serves(t, d, key, "a")
	}
	if secret, ok := e.App.Signer("k1"); secret != "s-k1" || !ok {
		t.Errorf("the former key signs with %q, %v", secret, ok)
	}
	if e, err = d.RemoveKey(t.Context(), "a", 3, "k1"); err != nil || e.App.Key != fresh.Key {
		t.Fatalf("removed the former key: %+v, %v", e, err)
	}
	serves(t, d, "k1", "")
	if _, err := d.RemoveKey(t.Context(), "a", directory.AnyVersion, "k1"); !errors.Is(err, directory.ErrNoKey) {
		t.Errorf("removed again: %v", err)
	}
	_, second, err := d.AddKey(t.Context(), "a", directory.AnyVersion, app.Credential{Key: "k2", Secret: "s2"})
	if err != nil {
		t.Fatal(err)
	}
	if e, err = d.RemoveKey(t.Context(), "a", directory.AnyVersion, fresh.Key); err != nil || e.App.Key != "k2" || e.App.Secret != second.Secret {
		t.Errorf("another key with all rights takes the place of the own one: %+v, %v", e.App, err)
	}
	_, _, err = d.AddKey(t.Context(), "a", directory.AnyVersion, app.Credential{Rights: "write"})
	if _, ok := errors.AsType[*directory.Invalid](err); !ok {
		t.Errorf("rights that do not exist: %v", err)
	}
}

func TestIDsAndKeysAreUniqueOverFileAndStore(t *testing.T) {
	t.Parallel()
	d := open(t, temporary(t), file(t, text("file", "kf")), func(o *directory.Options) { o.Reserved = []string{"operator"} })
	create(t, d, text("a", "ka"))
	for name, tt := range map[string]struct {
		document string
		want     error
	}{
		"the id of the file":        {text("file", "k"), directory.ErrExists},
		"the id of a stored app":    {text("a", "k"), directory.ErrExists},
		"the key of the file":       {text("b", "kf"), nil},
		"the key of a stored app":   {text("b", "ka"), nil},
		"the key of the operator":   {text("b", "operator"), nil},
		"no app at all":             {`[]`, nil},
		"one without an id":         {`{"key":"k"}`, nil},
		"a further key that is not": {`{"id":"b","keys":[{"key":"ka","secret":"s"}]}`, nil},
	} {
		_, _, err := d.Create(t.Context(), []byte(tt.document))
		_, isInvalid := errors.AsType[*directory.Invalid](err)
		if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && !isInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Change(t.Context(), "a", directory.AnyVersion, []byte(`{"key":"kf"}`)); err == nil {
		t.Error("a key of the file was taken by a change")
	}
	if _, err := d.Change(t.Context(), "a", directory.AnyVersion, []byte(`{"id":"b"}`)); err == nil {
		t.Error("an app changed its id")
	}
	for name, err := range map[string]error{
		"change": second(d.Change(t.Context(), "file", directory.AnyVersion, []byte(`{}`))),
		"delete": d.Delete(t.Context(), "file", directory.AnyVersion),
	} {
		if !errors.Is(err, directory.ErrReadOnly) {
			t.Errorf("%s of an app of the file: %v", name, err)
		}
	}
	serves(t, d, "ka", "a")
	serves(t, d, "kf", "file")
}

func second[T any](_ T, err error) error { return err }

func TestAStoredAppThatCannotBeServedStopsNobody(t *testing.T) {
	t.Parallel()
	store := temporary(t)
	put := func(id, document string, keys ...string) {
		t.Helper()
		if _, err := store.PutApp(t.Context(), app.Record{ID: id, Keys: keys, Document: []byte(document)}); err != nil {
			t.Fatal(err)
		}
	}
	put("good", text("good", "kg"), "kg")
	put("old", `{"id":"old","key":"ko","secret":"s","of_an_older_version":1}`, "ko")
	put("shadowed", text("shadowed", "ks"), "ks")
	put("thief", text("thief", "kf"), "kf")
	put("other", text("else", "ke"), "ke")
	var log bytes.Buffer
	d := open(t, store, file(t, text("shadowed", "kf")), func(o *directory.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	var got []string
	for _, e := range d.List() {
		line := []string{e.ID, string(e.Source)}
		for _, p := range e.Problems {
			line = append(line, p.Path)
		}
		got = append(got, strings.Join(line, " "))
	}
	want := []string{"good store", "old store document", "other store id", "shadowed file", "shadowed store id", "thief store key"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	serves(t, d, "kg", "good")
	serves(t, d, "kf", "shadowed")
	serves(t, d, "ks", "")
	if n := strings.Count(log.String(), "cannot be served"); n != 4 {
		t.Errorf("%d lines in the log, want 4:\n%s", n, &log)
	}
	if e, err := d.Change(t.Context(), "old", directory.AnyVersion, []byte(`{"of_an_older_version":null}`)); err != nil || e.App == nil {
		t.Errorf("it cannot be mended: %v", err)
	}
	serves(t, d, "ko", "old")
	if err := d.Delete(t.Context(), "thief", directory.AnyVersion); err != nil {
		t.Error(err)
	}
}

func TestTheFileIsReplacedBesideStoredApps(t *testing.T) {
	t.Parallel()
	d := open(t, temporary(t), file(t, text("f1", "kf1"), text("f2", "kf2")), nil)
	create(t, d, text("a", "ka"))
	if err := d.SetFile(t.Context(), file(t, text("f2", "kf2"), text("f3", "kf3")), nil); err != nil {
		t.Fatal(err)
	}
	for key, id := range map[string]string{"ka": "a", "kf1": "", "kf2": "f2", "kf3": "f3"} {
		serves(t, d, key, id)
	}
	err := d.SetFile(t.Context(), file(t, text("f4", "ka")), nil)
	if err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("a file that takes the key of a stored app: %v", err)
	}
	serves(t, d, "ka", "a")
	serves(t, d, "kf3", "f3")
}

func TestWithoutAStoreThereIsTheFile(t *testing.T) {
	t.Parallel()
	d := open(t, nil, file(t, text("f", "k")), nil)
	if err := d.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := d.Create(t.Context(), []byte(text("a", "ka"))); !errors.Is(err, directory.ErrNoStore) {
		t.Error(err)
	}
	if _, err := directory.New(file(t, text("f", "k"), text("g", "k")), directory.Options{Parse: parse}); err == nil {
		t.Error("two apps of the file share a key")
	}
}

func TestChangesOfOtherNodesAreFollowed(t *testing.T) {
	t.Parallel()
	store := share(temporary(t))
	one, two := open(t, store.Store, nil, nil), open(t, store, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- two.Run(ctx) }() // ends with cancel
	<-store.watched

	create(t, one, text("a", "ka"))
	store.tell()
	eventually(t, func() bool { _, err := two.Apps().ByKey(ctx, "ka"); return err == nil })

	// Both change the same app: what one does is not lost by what the other does.
	if _, err := one.Change(ctx, "a", directory.AnyVersion, []byte(`{"max_connections":5}`)); err != nil {
		t.Fatal(err)
	}
	e, _, err := two.AddKey(ctx, "a", directory.AnyVersion, app.Credential{Key: "ka2"})
	if err != nil || e.Version != 3 || e.App.Limits.MaxConnections != 5 {
		t.Errorf("changed after another: %+v, %v", e, err)
	}
	create(t, one, text("b", "kb"))
	// Whether two has heard of it by now or not, it says the same.
	want := &directory.Invalid{Problems: []directory.Problem{{Path: "key", Value: "kb", Message: `the app "b" has this key`}}}
	_, _, err = two.Create(ctx, []byte(text("c", "kb")))
	if got, _ := errors.AsType[*directory.Invalid](err); !cmp.Equal(want, got) {
		t.Errorf("a key that another node has given away: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	store := share(temporary(t))
	store.setDown(true)
	d, err := directory.New(nil, directory.Options{Parse: parse, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Load(t.Context()); !errors.Is(err, directory.ErrUnavailable) || !errors.Is(err, errDown) {
		t.Errorf("at the start: %v", err)
	}
	store.setDown(false)
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(t, d, text("a", "ka"))
	store.setDown(true)
	if _, err := d.Change(t.Context(), "a", directory.AnyVersion, []byte(`{"max_connections":5}`)); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("later: %v", err)
	}
	serves(t, d, "ka", "a")
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	d := open(t, temporary(t), file(t, text("f", "kf")), nil)
	documents := func(texts ...string) (list [][]byte) {
		for _, x := range texts {
			list = append(list, []byte(x))
		}
		return list
	}
	bad := documents(text("a", "ka"), text("b", "kf"), text("a", "kx"), text("c", "ka"), `{"id":"d"}`, text("f", "k"))
	outcomes, err := d.Import(t.Context(), bad, false)
	if _, ok := errors.AsType[*directory.Invalid](err); !ok {
		t.Error(err)
	}
	check := func(want ...string) {
		t.Helper()
		var got []string
		for _, o := range outcomes {
			got = append(got, o.ID+" "+o.Result)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check("a new", "b invalid", "a invalid", "c invalid", "d invalid", "f exists")
	serves(t, d, "ka", "")
	good := documents(text("a", "ka"), text("b", "kb"))
	outcomes, err = d.Import(t.Context(), good, true)
	check("a new", "b new")
	serves(t, d, "ka", "")
	if err == nil {
		outcomes, err = d.Import(t.Context(), good, false)
	}
	check("a created", "b created")
	serves(t, d, "ka", "a")
	if err == nil {
		outcomes, err = d.Import(t.Context(), good, false)
	}
	check("a exists", "b exists")
	if err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	deadline, tick := time.After(90*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatal("it never was so")
		case <-tick.C:
		}
	}
}
