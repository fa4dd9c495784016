package directory_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/directory"
)

// What is stored is served on, with a warning; a secret that an app gets now is judged.
func TestSecretsAreJudgedWhenAnAppGetsThem(t *testing.T) {
	t.Parallel()
	store := temporary(t)
	create(t, open(t, store, nil, nil), `{"id":"a","key":"k1","secret":"weak"}`)

	var log strings.Builder
	d := open(t, store, nil, func(o *directory.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.NewSecret = func(secret string) string {
			if strings.HasPrefix(secret, "weak") {
				return "is weak"
			}
			return ""
		}
	})
	serves(t, d, "k1", "a")
	if got := strings.Count(log.String(), "can be guessed"); got != 1 {
		t.Errorf("the log warns %d times:\n%s", got, &log)
	}
	isWeak := func(what, path string, err error) {
		t.Helper()
		invalid, ok := errors.AsType[*directory.Invalid](err)
		if !ok || len(invalid.Problems) != 1 || invalid.Problems[0].Path != path {
			t.Errorf("%s: %v, want a problem of %s", what, err, path)
		}
	}
	_, _, err := d.Create(t.Context(), []byte(`{"id":"b","key":"k2","secret":"weak"}`))
	isWeak("created", "secret", err)
	_, err = d.Change(t.Context(), "a", directory.AnyVersion, []byte(`{"secret":"weaker"}`))
	isWeak("changed", "secret", err)
	_, _, err = d.AddKey(t.Context(), "a", directory.AnyVersion, app.Credential{Key: "k3", Secret: "weaker"})
	isWeak("added", "keys[0].secret", err)
	outcomes, err := d.Import(t.Context(), [][]byte{[]byte(`{"id":"c","key":"k4","secret":"weak"}`)}, true)
	if err == nil || len(outcomes) != 1 || outcomes[0].Result != directory.ResultInvalid || outcomes[0].Problems[0].Path != "secret" {
		t.Errorf("imported: %+v, %v", outcomes, err)
	}
	if _, err = d.Change(t.Context(), "a", directory.AnyVersion, []byte(`{"max_connections":7}`)); err != nil {
		t.Errorf("a change of something else: %v", err)
	}
	if _, _, err = d.Rotate(t.Context(), "a", directory.AnyVersion); err != nil {
		t.Errorf("rotated: %v", err)
	}
}
