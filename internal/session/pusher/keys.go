package pusher

import (
	"errors"
	"slices"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/locks"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/session"
)

// signInSubject is where a session notes the key of its sign-in, beside the keys of its subscriptions.
const signInSubject = ""

// credential finds the key that a proof names among the present keys of the app of s, not the keys
// that the app had when s was opened: a revoked key signs nothing any more.
func (s *Session) credential(p auth.Proof) (app.Credential, *protocol.Error) {
	a, err := s.o.Apps.ByKey(s.group.Context(), p.Key)
	switch {
	case errors.Is(err, app.ErrNotFound):
		return app.Credential{}, protocol.ErrSignature
	case err != nil:
		s.o.Log.Error("app lookup failed", "app", s.app.ID, "err", err)
		return app.Credential{}, protocol.ErrInternal
	case a.ID != s.app.ID || !a.Enabled:
		return app.Credential{}, protocol.ErrSignature
	}
	c, ok := a.Credential(p.Key)
	if !ok {
		return app.Credential{}, protocol.ErrSignature
	}
	return c, nil
}

// verify finds out which key of the app signed something, by verifies, which is given its
// secret. Only who has the secret is told what the key may not do.
func (s *Session) verify(authString string, verifies func(p auth.Proof, secret string) bool) (key string, _ *protocol.Error) {
	p, ok := auth.ParseProof(authString)
	if !ok {
		return "", protocol.ErrSignature
	}
	c, err := s.credential(p)
	switch {
	case err != nil:
		return "", err
	case !verifies(p, c.Secret):
		return "", protocol.ErrSignature
	case c.Rights != app.RightsAll:
		return "", protocol.ErrSignature.Withf(
			"The key has the right %q only; sign with a key that has the right %q", c.Rights, app.RightsAll)
	}
	return c.Key, nil
}

// signedBy notes that key, which verify has found good, signed what follows: a subscription
// to the channel, or the sign-in. It is asked about once more, because it may have been
// revoked before CloseKeys could find it here.
func (s *Session) signedBy(key, subject string) *protocol.Error {
	if key == s.key {
		s.unsigned(subject)
		return nil // CloseKeys finds s by that
	}
	x := s.more()
	if old, has := x.signers[subject]; has && old == key {
		return nil
	}
	s.unsigned(subject)
	isNew := !s.hasSigned(key)
	if x.signers == nil {
		x.signers = make(map[string]string, 1)
	}
	x.signers[subject] = key
	if isNew {
		s.signed.add(key, s)
	}
	if _, err := s.credential(auth.Proof{Key: key}); err != nil {
		s.unsigned(subject)
		return err
	}
	return nil
}

// unsigned forgets who signed something that is over, or not to be.
func (s *Session) unsigned(subject string) {
	key, has := s.signer(subject)
	if !has {
		return
	}
	delete(s.extra.signers, subject)
	if !s.hasSigned(key) {
		s.signed.remove(key, s)
	}
}

// signer is the key that signed something, unless it is the one by which s was opened.
func (s *Session) signer(subject string) (key string, has bool) {
	if s.extra == nil {
		return "", false
	}
	key, has = s.extra.signers[subject]
	return key, has
}

// hasSigned reports whether anything of s is noted as signed with key.
func (s *Session) hasSigned(key string) bool {
	for _, k := range s.extra.signers {
		if k == key {
			return true
		}
	}
	return false
}

// unsignAll forgets all of a session that is over.
func (s *Session) unsignAll() {
	if s.extra == nil {
		return
	}
	for _, key := range s.extra.signers {
		s.signed.remove(key, s)
	}
	s.extra.signers = nil
}

// signed finds the sessions that hold something signed with a key other than that by which
// they were opened; while keys are rotated, mostly.
type signed struct {
	mu       locks.Mutex
	sessions map[string]map[*Session]struct{} // by key; guarded by mu
}

// add notes that a session holds something signed with a key it did not connect by.
func (g *signed) add(key string, s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.sessions[key]
	if all == nil {
		if g.sessions == nil {
			g.sessions = make(map[string]map[*Session]struct{})
		}
		all = make(map[*Session]struct{})
		g.sessions[key] = all
	}
	all[s] = struct{}{}
}

func (g *signed) remove(key string, s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.sessions[key]
	if delete(all, s); len(all) == 0 {
		delete(g.sessions, key)
	}
}

func (g *signed) of(key string) []*Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*Session, 0, len(g.sessions[key]))
	for s := range g.sessions[key] {
		all = append(all, s)
	}
	return all
}

// CloseKeys ends the live connections that were opened by one of these keys, which the app
// has no more, and those that hold a subscription or a sign-in signed with one. Clients do
// not come back by themselves. It is called after the registry has forgotten the keys.
func (ss *Sessions) CloseKeys(appID string, keys []string) {
	ss.forgetScopes(func(s *scope) bool { return s.app.ID == appID && slices.Contains(keys, s.key) })
	session.CloseAll(ss.group.Table, ss.ofKeys(appID, keys), func(s *Session) { s.close(protocol.ErrKeyRevoked) })
}

// RestartKeys ends the same connections for keys that the app still has, but whose secrets are
// others or which may not sign any more. It does not wait for that: clients come back, one after the
// other, and ask for new signatures.
func (ss *Sessions) RestartKeys(appID string, keys []string) {
	session.RestartAll(ss.group.Table, ss.ofKeys(appID, keys), (*Session).readmit)
}

// ofKeys are the sessions that were opened by one of the keys, or hold something signed with one.
func (ss *Sessions) ofKeys(appID string, keys []string) []*Session {
	found := session.Select(ss.group.Table, func(s *Session) bool {
		return s.app.ID == appID && slices.Contains(keys, s.key)
	})
	for _, key := range keys {
		for _, s := range ss.signed.of(key) {
			if s.app.ID == appID {
				found = append(found, s)
			}
		}
	}
	return found
}

// checkAdmission looks once more for what let s in, now that CloseApp and CloseKeys find it.
// It reports whether that is still there, and closes s if it is not.
func (s *Session) checkAdmission() bool {
	a, err := s.o.Apps.ByKey(s.group.Context(), s.key)
	switch {
	case errors.Is(err, app.ErrNotFound), err == nil && a.ID != s.app.ID:
		s.close(protocol.ErrAppUnknown)
		return false
	case err == nil && !a.Enabled:
		s.close(protocol.ErrAppDisabled)
		return false
	}
	return true
}
