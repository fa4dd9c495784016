package views

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/problem"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/query"
	"github.com/millrace/millrace/internal/reader"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
)

// Why a request about views is refused, where the code alone does not say.
const (
	causeAnswers  problem.Cause = "answers" // of views that are under way are too many
	causeUnstored problem.Cause = "store"   // of entities refuses
)

// unapplied is the answer to a batch that the engine has refused.
func (h *handler) unapplied(ctx context.Context, r *httpapi.Request, err error) *problem.Problem {
	refused, isRefused := errors.AsType[*entity.Error](err)
	switch {
	case isRefused && refused.Index >= 0:
		return problem.Invalid(refused.Message).At("mutations[" + strconv.Itoa(refused.Index) + "]")
	case isRefused:
		return problem.Invalid(refused.Message)
	case errors.Is(err, entity.ErrBackpressure), errors.Is(err, hub.ErrBackpressure):
		return problem.New(problem.Backpressure, "The server is behind with its mutations; try again")
	case errors.Is(err, entity.ErrClosed):
		return problem.New(problem.Unavailable, "The server is shutting down; try again")
	case errors.Is(err, entity.ErrNotStored):
		return problem.New(problem.Unavailable, "The mutations cannot be stored right now; try again").Because(causeUnstored)
	case ctx.Err() != nil:
		return problem.New(problem.Backpressure, "The server is behind with its mutations; try again") // the client gave up waiting and reads no answer
	}
	h.o.Log.Error("mutations not applied", "app", r.App.ID, "err", err)
	return problem.New(problem.Unavailable, "The mutations cannot be stored right now; try again")
}

// unchanged is the answer to a change of a definition that has failed.
func (h *handler) unchanged(r *httpapi.Request, err error) *problem.Problem {
	refused, isRefused := errors.AsType[*query.Error](err)
	switch {
	case isRefused:
		return problem.Invalid(strings.Join(refused.Problems, "; "))
	case errors.Is(err, definition.ErrNotFound):
		return problem.New(problem.NotFound, fmt.Sprintf("There is no view %q that was defined", r.Name))
	}
	h.o.Log.Error("view not changed", "app", r.App.ID, "err", err)
	return problem.New(problem.Unavailable, "The definition cannot be stored right now; try again")
}

// unread is the answer to a read that the view engine has refused.
func (h *handler) unread(r *httpapi.Request, q *protocol.ViewRequest, issue *protocol.Issue) *problem.Problem {
	isUnknown := view.IsUnknownView(issue)
	if isUnknown && r.Reader != nil {
		issue = reader.Unknown(r.Reader, q.View, q.Key, issue)
		isUnknown = view.IsUnknownView(issue)
	}
	switch {
	case isUnknown:
		return problem.New(problem.NotFound, fmt.Sprintf("There is no view %q", r.Name))
	case issue.Code == protocol.IssueSnapshotLimit.Code:
		return problem.New(problem.LimitExceeded, fmt.Sprintf(
			"More than %d rows; page through a sorted view with take and skip, or ask for some of them with key, limit or after", h.maxRows(r)))
	}
	return problem.FromIssue(issue)
}

// unrevoked is the answer to a revocation that has failed.
func (h *handler) unrevoked(r *httpapi.Request, err error) *problem.Problem {
	if errors.Is(err, token.ErrRevocationsFull) {
		return problem.New(problem.Unavailable, "Too many revocations are in force; change the signing key instead")
	}
	h.o.Log.Error("session not revoked", "app", r.App.ID, "err", err)
	return problem.New(problem.Unavailable, "The revocation cannot be stored right now; try again")
}
