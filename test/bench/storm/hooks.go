package storm

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/tidwall/gjson"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/test/bench/child"
)

// Hooks is what an endpoint was told of a crowd: of each member, of each user who has
// signed in and of each channel that has no other subscriber, once that it came and once that it is gone.
type Hooks struct {
	Expected int           `json:"expected"` // events of either kind
	Came     int           `json:"came"`     // each counted once
	Gone     int           `json:"gone"`     // each counted once
	Doubled  int           `json:"twice"`    // told again
	Stray    int           `json:"stray"`    // gone too early, not of the crowd, or signed by another secret
	LastGone float64       `json:"seconds_to_last"`
	Others   bench.Latency `json:"latency"` // of those who stay, after the storm until the last was told

	others *hdrhistogram.Histogram
}

// pool takes what another endpoint was told into h.
func (h *Hooks) pool(o *Hooks) {
	h.Expected, h.Came, h.Gone = h.Expected+o.Expected, h.Came+o.Came, h.Gone+o.Gone
	h.Doubled, h.Stray, h.LastGone = h.Doubled+o.Doubled, h.Stray+o.Stray, max(h.LastGone, o.LastGone)
	h.others.Merge(o.others)
}

// hookState is what was told last of a member, a user or a channel.
type hookState uint8

const (
	hookAwaited hookState = iota
	hookCame
	hookGone
)

// Endpoint receives the webhooks of a server: it counts what it is told of the crowd of
// the moment. Of those who stay it takes no notice.
type Endpoint struct {
	secret string
	server *httptest.Server

	mu       sync.Mutex
	crowd    map[string]hookState // by what they are and their names; guarded by mu, as all below
	cut      time.Time            // zero: no connection should be gone yet
	evidence Hooks
}

// Listen starts an endpoint that expects signatures by secret. The caller must call Close.
func Listen(secret string) *Endpoint {
	h := &Endpoint{secret: secret}
	h.server = httptest.NewServer(h)
	return h
}

// Close ends the endpoint.
func (h *Endpoint) Close() { h.server.Close() }

// expect forgets the crowd before and awaits another.
func (h *Endpoint) expect(so Options) {
	crowd := make(map[string]hookState, so.crowd()+so.Members)
	for i := range so.crowd() {
		j := joinerOf(i, &bench.Options{}, so)
		switch {
		case j.user != "":
			crowd[hookSubject("member", j.channel, j.user)] = hookAwaited
			continue
		case j.signIn != "":
			crowd[hookSubject("user", "", j.signIn)] = hookAwaited
		}
		crowd[hookSubject("channel", j.channel, "")] = hookAwaited
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crowd, h.cut, h.evidence = crowd, time.Time{}, Hooks{Expected: len(crowd)}
}

// expectGone says that the crowd is cut now.
func (h *Endpoint) expectGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = time.Now()
}

func hookSubject(kind, channel, user string) string { return kind + " " + channel + " " + user }

// ServeHTTP implements http.Handler.
func (h *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest) // it comes again
		return
	}
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write(body)
	isGenuine := r.Header.Get("X-Pusher-Signature") == hex.EncodeToString(mac.Sum(nil))
	h.mu.Lock()
	defer h.mu.Unlock()
	if !isGenuine {
		h.evidence.Stray++
		return
	}
	for _, e := range gjson.GetBytes(body, "events").Array() {
		h.noteLocked(e.Get("name").Str, e.Get("channel").Str, e.Get("user_id").Str)
	}
}

// noteLocked takes note of one event.
func (h *Endpoint) noteLocked(name, channel, user string) {
	kind, change, _ := strings.Cut(name, "_")
	if kind == "user" {
		channel = "" // the channel of a user says no more than the user id
	}
	subject := hookSubject(kind, channel, user)
	was, isCrowd := h.crowd[subject]
	switch change {
	case "added", "occupied", "online":
		switch {
		case !isCrowd && !isOfStorm(channel, user): // a connection that stays
		case !isCrowd:
			h.evidence.Stray++
		case was != hookAwaited:
			h.evidence.Doubled++
		default:
			h.crowd[subject] = hookCame
			h.evidence.Came++
		}
	case "removed", "vacated", "offline":
		switch {
		case !isCrowd && !isOfStorm(channel, user):
		case !isCrowd || was == hookAwaited || h.cut.IsZero():
			h.evidence.Stray++
		case was == hookGone:
			h.evidence.Doubled++
		default:
			h.crowd[subject] = hookGone
			h.evidence.Gone++
			h.evidence.LastGone = time.Since(h.cut).Seconds()
		}
	default:
		h.evidence.Stray++
	}
}

// isOfStorm reports whether only a crowd has such names.
func isOfStorm(channel, user string) bool {
	return strings.HasPrefix(channel, publicPrefix) || strings.HasPrefix(user, userPrefix)
}

func (h *Endpoint) told() Hooks {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.evidence
}

// await returns what was told once count of it is all that is expected, or none comes any more.
func (h *Endpoint) await(ctx context.Context, count func(*Hooks) int) (Hooks, error) {
	deadline := time.Now().Add(timeout)
	for {
		told := h.told()
		if count(&told) >= told.Expected || time.Now().After(deadline) {
			return told, nil
		}
		if !bench.Pause(ctx, poll/10) {
			return told, ctx.Err()
		}
	}
}

// awaitCame returns when everybody in the crowd was told of.
func (h *Endpoint) awaitCame(ctx context.Context) error {
	_, err := h.await(ctx, func(told *Hooks) int { return told.Came })
	return err
}

// awaitGone returns when everybody was told to be gone, and a little later: what is told then is
// told twice.
func (h *Endpoint) awaitGone(ctx context.Context) (*Hooks, error) {
	told, err := h.await(ctx, func(told *Hooks) int { return told.Gone })
	if err == nil && bench.Pause(ctx, poll) {
		told = h.told()
	}
	return &told, err
}

// StartServer starts millrace with development defaults, with room for a witness in full presence channels, and with a
// webhook that is told of everybody who comes and goes.
func StartServer(ctx context.Context, millrace string, hooks *Endpoint) (_ *child.Child, err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }() // it has been read
	file := filepath.Join(dir, "millrace.toml")
	text := fmt.Sprintf(`
[[apps]]
id = %q
key = %q
secret = %q
sign_in = true
max_presence_members = 1000

[[apps.webhooks]]
url = %q
event_types = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "user_online", "user_offline"]
`, child.App, child.Key, child.Secret, hooks.server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return child.StartServerWith(ctx, millrace, []string{"--dev", "--config", file})
}
