package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/entity"
	apiviews "github.com/millrace/millrace/internal/httpapi/views"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// openStore opens the embedded store. When the disk is full the node serves channels all the same,
// and refuses requests that need the store: an empty view would hide entities that exist. A node
// that takes its apps from the store does not start, because it would refuse connections that it
// should take.
func (s *Server) openStore(ctx context.Context, o embedded.Options) (err error) {
	s.store, err = readyStore(ctx, o)
	if !errors.Is(err, embedded.ErrFull) || s.cfg.Registry.Driver == "embedded" {
		return err
	}
	s.hasNoRoom = true
	s.log.Error("disk is full: only channels are served; views and mutations are refused, and webhooks are kept in memory, until there is room and Millrace is restarted",
		"path", o.Path, "err", err)
	return nil
}

// readyStore is a store that can be read and written to.
func readyStore(ctx context.Context, o embedded.Options) (*embedded.Store, error) {
	store, err := embedded.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := store.Prepare(ctx); err != nil {
		return nil, errors.Join(err, store.Close()) //nolint:contextcheck // it closes whatever has ended ctx
	}
	return store, nil
}

const roomAgain = "there is room for the store again; restart Millrace to serve views"

var errRestart = errors.New(roomAgain)

// lookForRoom is the health of a store that could not be opened. It says once that it can be.
func (s *Server) lookForRoom() func(context.Context) error {
	var once sync.Once
	return func(ctx context.Context) error {
		store, err := readyStore(ctx, embedded.Options{Path: s.cfg.Store.Path})
		if err != nil {
			return err
		}
		once.Do(func() { s.log.WarnContext(ctx, roomAgain, "path", s.cfg.Store.Path) })
		return errors.Join(errRestart, store.Close()) //nolint:contextcheck // it closes whatever has ended ctx
	}
}

// entityStore is what applies mutations.
func (s *Server) entityStore() apiviews.Entities {
	if s.hasNoRoom {
		return noEntities{}
	}
	return s.owner
}

// noEntities refuses every mutation.
type noEntities struct{}

func (noEntities) Apply(context.Context, *entity.Batch) (entity.Seq, error) {
	return entity.Seq{}, entity.ErrNotStored
}

// shownViews are the views that clients of channels may watch; nil: none.
func (s *Server) shownViews() *view.Engine {
	if s.hasNoRoom {
		return nil
	}
	return s.views
}

// needsStore reports whether a path means views, mutations or sessions of views.
func needsStore(path string) bool {
	if path == "/views" || strings.HasPrefix(path, "/views/") || token.Serves(path) {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/apps/")
	if !ok {
		return false
	}
	_, rest, _ = strings.Cut(rest, "/")
	first, _, _ := strings.Cut(rest, "/")
	return first == "views" || first == "mutations" || first == "sessions"
}

func (s *Server) refuseWithoutStore(w http.ResponseWriter, r *http.Request) {
	if skipped, ok := s.unserved.Pass(time.Now()); ok {
		s.log.WarnContext(r.Context(), "request refused: there was no room for the store at the start", "path", r.URL.Path, "more_since_last", skipped)
	}
	p := problem.New(problem.Unavailable, "The disk of the server is full; views cannot be served right now")
	p.RetryAfter = time.Minute
	p.SetHeaders(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.AppendJSON(nil)) // the client went away
}
