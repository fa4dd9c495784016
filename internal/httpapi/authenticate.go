package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/problem"
)

// authenticate finds the app and checks the signature (pusher 5.2), or lets the route admit a client
// that has none. It comes before the body is read, of which the MD5 is signed.
func (a *api) authenticate(ctx context.Context, c *Request, e *endpoint) *problem.Problem {
	if c.unreadable != nil {
		return unauthorized(c.unreadable)
	}
	key := c.Query.Key()
	switch {
	case key == "" && e.Unsigned != nil:
		return a.admitUnsigned(ctx, c, e)
	case key == a.o.Admin.Key && key != "":
		return a.authenticateAdmin(ctx, c, e)
	}
	found, err := a.o.Apps.ByKey(ctx, key)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key is missing or no app has it"})
	case err != nil:
		return a.failLookup(err)
	case c.appID == "":
		c.appID = found.ID
	case !found.HasID(c.appID):
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key belongs to another app than the path"})
	}
	credential, ok := found.Credential(key)
	if !ok {
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "auth_key is missing or no app has it"})
	}
	if p := a.verify(c, credential.Secret); p != nil {
		return p
	}
	return c.enter(found, credential.Rights, e)
}

// verify checks the signature of all but the body.
func (a *api) verify(c *Request, secret string) *problem.Problem {
	signed := auth.Request{Method: c.HTTP.Method, Path: c.path, Prefix: a.o.PathPrefix}
	if err := c.verifier.VerifyHead(signed, &c.Query, secret, c.Now); err != nil {
		return unauthorized(err)
	}
	return nil
}

// authenticateAdmin admits an operator, who signs with the admin key, to any app.
func (a *api) authenticateAdmin(ctx context.Context, c *Request, e *endpoint) *problem.Problem {
	if p := a.verify(c, a.o.Admin.Secret); p != nil {
		return p
	}
	if c.appID == "" {
		return unauthorized(&auth.Error{Reason: auth.ReasonKey, Message: "The admin key belongs to no app; put /apps/{app_id} before the path"})
	}
	found, err := a.o.Apps.ByID(ctx, c.appID)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return problem.New(problem.NotFound, "No app has this id")
	case err != nil:
		return a.failLookup(err)
	}
	return c.enter(found, app.RightsAll, e)
}

// admitUnsigned leaves a client that names no key to the route.
func (a *api) admitUnsigned(ctx context.Context, c *Request, e *endpoint) *problem.Problem {
	found, err := a.o.Apps.ByID(ctx, c.appID)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return problem.New(problem.AuthFailed, "No app has this id").Because(problem.Cause(auth.ReasonKey))
	case err != nil:
		return a.failLookup(err)
	case !found.Enabled:
		return failDisabled()
	}
	c.App = found
	return e.Unsigned(ctx, c)
}

// enter makes r a request to an app, by a key with these rights.
func (r *Request) enter(a *app.App, has app.Rights, e *endpoint) *problem.Problem {
	if !a.Enabled {
		return failDisabled()
	}
	if needs := e.needs(); has != app.RightsAll && has != needs {
		return problem.New(problem.Forbidden, fmt.Sprintf("This key may not do that: it lacks the right %q and has only %q", needs, has)).Because(causeRights)
	}
	r.App = a
	return nil
}

// needs is the right that a key must have for e: all of them, unless the route names one.
func (e *endpoint) needs() app.Rights {
	if e.Needs == "" {
		return app.RightsAll
	}
	return e.Needs
}

func failDisabled() *problem.Problem {
	return problem.New(problem.Forbidden, "This app is disabled").Because(causeDisabled)
}

func (a *api) failLookup(err error) *problem.Problem {
	a.o.Log.Error("app lookup failed", "err", err)
	return problem.New(problem.Unavailable, "The app cannot be looked up right now; try again").Because(causeRegistry)
}

func unauthorized(err error) *problem.Problem {
	p := problem.New(problem.AuthFailed, err.Error())
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		p.Cause = problem.Cause(refused.Reason)
	}
	return p
}
