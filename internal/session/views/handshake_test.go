package views_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/token"
)

func TestH01WhateverIsBelowTheKeyIsTheSameEndpoint(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	for _, target := range []string{path, path + "/", path + "/ws", path + "/a/b?x=1"} {
		c, err := s.dial(t, target, nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		c.wantSilence()
	}
	s.wantRefusal(t, "/a/b?x=1", nil, refusal{Status: 404, Code: "invalid-api-key"})
}

func TestH01WithADefaultAppAnyPathIsAccepted(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.DefaultApp = testkit.AppID })
	for _, target := range []string{"/", "/ws", "/a/b?x=1", path} {
		c, err := s.dial(t, target, nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		c.wantSilence()
	}
	s.wantRefusal(t, "/views/nobody", nil, refusal{Status: 404, Code: "invalid-api-key"})
}

func TestTokensOfAHandshake(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	good := valid(t, nil)
	query := path + "?hs_token="
	tests := []struct {
		name, target string
		header       http.Header
		want         refusal // zero: admitted
	}{
		{"H02 no token", path, nil, refusal{401, "token-missing", false, false}},
		{"H03 in the query", query + good, nil, refusal{}},
		{"H04 in the header", path, bearer(good), refusal{}},
		{"H05 the scheme has no case", path, http.Header{"Authorization": {"bEaReR " + good}}, refusal{}},
		{"H06 another scheme is none", query + good, http.Header{"Authorization": {"Basic x"}}, refusal{}},
		{"H07 the header wins", query + good, bearer("garbage"), refusal{400, "token-invalid-format", true, false}},
		{"H08 Bearer without a token", path, http.Header{"Authorization": {"Bearer"}}, refusal{401, "token-missing", false, false}},
		{"H18 another key", query + sign(t, other, nil), nil, refusal{401, "token-invalid-signature", true, false}},
		{"H21 expired", query + valid(t, claims{"exp": time.Now().Unix()}), nil, refusal{401, "token-expired", true, false}},
		{"H23 bound to this origin", query + valid(t, claims{"origin": "https://a.example"}), http.Header{"Origin": {"https://a.example"}}, refusal{}},
		{"H24 bound to another origin", query + valid(t, claims{"origin": "https://a.example"}), http.Header{"Origin": {"https://b.example"}}, refusal{403, "origin-mismatch", false, false}},
		{"H29 bound to another address", query + valid(t, claims{"client_ip": "192.0.2.1"}), nil, refusal{403, "origin-mismatch", false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.want != (refusal{}) {
				s.wantRefusal(t, tt.target, tt.header, tt.want)
				return
			}
			c, err := s.dial(t, tt.target, tt.header)
			if err != nil {
				t.Fatal(err)
			}
			c.wantSilence()
		})
	}
}

func TestH26AnOriginThatIsRequired(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.sessions.OriginRequired = true
		signedSessions(o)
	})
	s.wantRefusal(t, path, bearer(valid(t, claims{"origin": "https://a.example"})), refusal{403, "origin-required", false, false})
}

func TestH38ARevokedTokenIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	if err := s.revocations.Revoke(t.Context(), testkit.AppID, "j-1", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.wantRefusal(t, path, bearer(valid(t, nil)), refusal{401, "token-expired", true, false})
}

func TestAppsThatAdmitNobody(t *testing.T) {
	t.Parallel()
	allowed, err := app.ParseOrigins([]string{"https://shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, target string
		change       func(*settings)
		want         refusal
	}{
		{"an unknown key", "/views/nobody", nil, refusal{404, "invalid-api-key", false, false}},
		{"no key at all", "/views/", nil, refusal{404, "invalid-api-key", false, false}},
		{"a disabled app", path, func(o *settings) { o.app.Enabled = false }, refusal{403, "deployment-access-denied", false, false}},
		{"an app without views", path, func(o *settings) {
			o.Authenticator = func(string) token.Authenticator { return nil }
		}, refusal{403, "deployment-access-denied", false, false}},
		{"an origin that is not allowed", path, func(o *settings) { o.app.AllowedOrigins = allowed }, refusal{403, "origin-not-allowed", false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			newStack(t, tt.change).wantRefusal(t, tt.target, nil, tt.want)
		})
	}
}

func TestWhileDrainingNobodyIsAdmitted(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.draining.Store(true)
	s.wantRefusal(t, "/views/nobody", nil, refusal{503, "internal-error", true, true}) // before every other check
}

func TestPlainHTTPIsToldToUpgrade(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 426 || !strings.Contains(string(body), "WebSocket") {
		t.Errorf("got %d %q", answer.StatusCode, body)
	}
}

func TestH39AFullNodeAnswers503(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.registry.MaxConnections = 1 })
	first := s.connect(t, "")
	s.wantRefusal(t, path, nil, refusal{503, "connection-limit-exceeded", true, true})
	first.Cut()
	s.waitForLen(t, 0)
	s.connect(t, "").wantSilence()
}

func TestAnAppOverItsQuota(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.app.Limits.MaxConnections = 1 })
	s.connect(t, "")
	s.wantRefusal(t, path, nil, refusal{429, "connection-limit-exceeded", true, false})
}

func TestH40ConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.Limits.MaxConnectionsPerIP = 2 })
	s.connect(t, "")
	second := s.connect(t, "")
	s.wantRefusal(t, path, nil, refusal{429, "connection-limit-exceeded", true, false})
	second.Cut() // H41
	s.waitForLen(t, 1)
	s.connect(t, "").wantSilence()
}

func TestAddressesOfOneSiteAreLimitedTogether(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*settings){
		"connections": func(o *settings) { o.Limits.MaxConnectionsPerIP = 1 },
		"handshakes":  func(o *settings) { o.Limits.HandshakesPerIP = limit.Rate{Max: 1, Per: time.Minute} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var from atomic.Value
			s := newStack(t, func(o *settings) {
				change(o)
				o.ClientIP = func(*http.Request) string { return from.Load().(string) }
			})
			for _, step := range []struct {
				address   string
				isRefused bool
			}{
				{"2001:db8:1:2::1", false},
				{"2001:db8:1:2:9::1", true},
				{"2001:db8:1:3::1", false},
				{"192.0.2.1", false},
				{"::ffff:192.0.2.1", true},
				{"192.0.2.2", false},
			} {
				from.Store(step.address)
				if !step.isRefused {
					s.connect(t, "")
				} else if c, err := s.dial(t, path, nil); err == nil {
					t.Errorf("%s: admitted", step.address)
					c.Cut()
				}
			}
		})
	}
}

func TestConnectionsPerSubject(t *testing.T) {
	t.Parallel()
	limits := func(n int) map[string]any { return map[string]any{"max_connections": n} }
	tests := []struct {
		name     string
		byServer int
		claim    claims
		refused  bool
	}{
		{"H42 the claim is the limit", 0, claims{"limits": limits(1)}, true},
		{"H43 without a claim the server's default is", 1, nil, true},
		{"H44 the claim wins over the default", 1, claims{"limits": limits(5)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *settings) {
				o.Limits.MaxConnectionsPerSubject = tt.byServer
				signedSessions(o)
			})
			s.connect(t, valid(t, tt.claim))
			if !tt.refused {
				s.connect(t, valid(t, tt.claim)).wantSilence()
				return
			}
			s.wantRefusal(t, path, bearer(valid(t, tt.claim)), refusal{429, "connection-limit-exceeded", true, false})
			s.connect(t, valid(t, claims{"sub": "somebody-else"})).wantSilence()
		})
	}
}

func TestH45ConnectionsPerMeteringKey(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.Limits.MaxConnectionsPerMeteringKey = 1
		signedSessions(o)
	})
	s.connect(t, valid(t, nil))
	s.wantRefusal(t, path, bearer(valid(t, claims{"sub": "somebody-else"})), refusal{429, "connection-limit-exceeded", true, false})
}

func TestH46ConnectionsPerOriginOfTheToken(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.Limits.MaxConnectionsPerOrigin = 1
		signedSessions(o)
	})
	bound := claims{"origin": "https://a.example"}
	s.connect(t, valid(t, bound))
	s.wantRefusal(t, path, bearer(valid(t, bound)), refusal{429, "connection-limit-exceeded", true, false})
	s.connect(t, valid(t, nil)).wantSilence()
}

func TestRateWindowsOfHandshakes(t *testing.T) {
	t.Parallel()
	rate := limit.Rate{Max: 2, Per: time.Minute}
	tests := []struct {
		name   string
		change func(*settings)
	}{
		{"H47 handshakes per address", func(o *settings) { o.Limits.HandshakesPerIP = rate }},
		{"connects per subject", func(o *settings) { o.Limits.ConnectsPerSubject = rate }},
		{"connects per metering key", func(o *settings) { o.Limits.ConnectsPerMeteringKey = rate }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *settings) {
				tt.change(o)
				signedSessions(o)
			})
			for range 2 {
				s.connect(t, valid(t, nil))
			}
			refused := s.refused(t, path, bearer(valid(t, nil)), refusal{429, "rate-limit-exceeded", true, true})
			wait, err := strconv.Atoi(refused.Header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 60 || !strings.Contains(refused.Body, `"retry_after":`+strconv.Itoa(wait)+`,`) {
				t.Errorf("got Retry-After %d, %v with %s", wait, err, refused.Body)
			}
		})
	}
}

func TestThoseWhomTheOpenAuthenticatorAdmitsHaveNoSubjectInCommon(t *testing.T) {
	t.Parallel()
	rate := limit.Rate{Max: 1, Per: time.Minute}
	s := newStack(t, func(o *settings) {
		l := &o.Limits
		l.ConnectsPerSubject, l.ConnectsPerMeteringKey = rate, rate
		l.MaxConnectionsPerSubject, l.MaxConnectionsPerMeteringKey = 1, 1
	})
	for range 3 {
		s.connect(t, "").wantSilence()
	}
}

func TestARefusedHandshakeHoldsNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.registry.MaxConnections = 2
		o.Limits.MaxConnectionsPerIP = 1
		signedSessions(o)
	})
	first := s.connect(t, valid(t, nil))
	for range 5 {
		s.wantRefusal(t, path, bearer(valid(t, nil)), refusal{429, "connection-limit-exceeded", true, false})
		s.wantRefusal(t, path, nil, refusal{401, "token-missing", false, false})
	}
	first.Cut()
	s.waitForLen(t, 0)
	s.connect(t, valid(t, nil)).wantSilence()
}

func TestH48ParallelHandshakesDoNotExceedALimitTogether(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.Limits.MaxConnectionsPerIP = 5 })
	var admitted, refused atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			p, err := testkit.DialPeer(s.addr, path, nil, nil)
			if err == nil {
				t.Cleanup(p.Cut)
				admitted.Add(1)
				return
			}
			if _, ok := errors.AsType[*testkit.RefusedError](err); ok {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if a, r := admitted.Load(), refused.Load(); a != 5 || r != 45 {
		t.Errorf("%d were admitted and %d refused, want 5 and 45", a, r)
	}
}

func TestTheClientsAddressComesFromTheOptions(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.Limits.MaxConnectionsPerIP = 1
		o.ClientIP = func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") }
	})
	for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		if _, err := s.dial(t, path, http.Header{"X-Forwarded-For": {ip}}); err != nil {
			t.Errorf("%s: %v", ip, err)
		}
	}
	s.wantRefusal(t, path, http.Header{"X-Forwarded-For": {"192.0.2.2"}}, refusal{429, "connection-limit-exceeded", true, false})
}
