package server

import (
	"context"
	"errors"
	"testing"
)

func TestAnEngineThatFailsEndsTheServer(t *testing.T) {
	t.Parallel()
	bug := errors.New("a bug")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		result error
		want   error
	}{
		"fails while it runs": {t.Context(), bug, bug},
		"fails when stopped":  {ended, bug, nil},
		"ends":                {t.Context(), nil, nil},
	} {
		failed := make(chan error, 1)
		if err := needed(failed, func(context.Context) error { return c.result })(c.ctx); !errors.Is(err, c.result) {
			t.Errorf("%s: returns %v", name, err)
		}
		var got error
		select {
		case got = <-failed:
		default:
		}
		if !errors.Is(got, c.want) {
			t.Errorf("%s: the server is told %v, want %v", name, got, c.want)
		}
	}
}
