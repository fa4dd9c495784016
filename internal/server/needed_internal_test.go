package server

import (
	"context"
	"errors"
	"testing"
)

func TestAnEngineThatFailsEndsTheServer(t *testing.T) {
	t.Parallel()
	bug := errors.New("a bug")
	for name, c := range map[string]struct {
		isStopped bool
		result    error
		want      error
	}{
		"fails while it runs": {false, bug, bug},
		"fails when stopped":  {true, bug, nil},
		"ends":                {false, nil, nil},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if c.isStopped {
			cancel()
		}
		failed := make(chan error, 1)
		if err := needed(failed, func(context.Context) error { return c.result })(ctx); !errors.Is(err, c.result) {
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
		cancel()
	}
}
