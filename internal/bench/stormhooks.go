package bench

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
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/tidwall/gjson"
)

// StormHooks is what an endpoint was told of a crowd: of each member, of each user who has
// signed in and of each channel that has nobody else, once that it came and once that it is gone.
type StormHooks struct {
	Expected int     `json:"expected"` // events of either kind
	Came     int     `json:"came"`     // each counted once
	Gone     int     `json:"gone"`     // each counted once
	Doubled  int     `json:"twice"`    // told again
	Stray    int     `json:"stray"`    // gone too early, nobody of the crowd, or signed by somebody else
	LastGone float64 `json:"seconds_to_last"`
	Others   Latency `json:"latency"` // of those who stay, after the storm until the last was told

	others *hdrhistogram.Histogram
}

// pool takes what another endpoint was told into h.
func (h *StormHooks) pool(o *StormHooks) {
	h.Expected, h.Came, h.Gone = h.Expected+o.Expected, h.Came+o.Came, h.Gone+o.Gone
	h.Doubled, h.Stray, h.LastGone = h.Doubled+o.Doubled, h.Stray+o.Stray, max(h.LastGone, o.LastGone)
	h.others.Merge(o.others)
}

// hookState is what was told of somebody last.
type hookState uint8

const (
	hookAwaited hookState = iota
	hookCame
	hookGone
)

// stormHooks is the endpoint of the webhooks of a server: it counts what it is told of the crowd of
// the moment. Of those who stay it takes no notice.
type stormHooks struct {
	secret string
	server *httptest.Server

	mu       sync.Mutex
	crowd    map[string]hookState // by what they are and their names; guarded by mu, as all below
	cut      time.Time            // zero: nobody should be gone yet
	evidence StormHooks
}

// startStormHooks listens. The caller must call close.
func startStormHooks(secret string) *stormHooks {
	h := &stormHooks{secret: secret}
	h.server = httptest.NewServer(h)
	return h
}

func (h *stormHooks) close() { h.server.Close() }

// expect forgets the crowd before and awaits another.
func (h *stormHooks) expect(so StormOptions) {
	crowd := make(map[string]hookState, so.crowd()+so.Members)
	for i := range so.crowd() {
		j := stormJoiner(i, &Options{}, so)
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
	h.crowd, h.cut, h.evidence = crowd, time.Time{}, StormHooks{Expected: len(crowd)}
}

// expectGone says that the crowd is cut now.
func (h *stormHooks) expectGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = time.Now()
}

func hookSubject(kind, channel, user string) string { return kind + " " + channel + " " + user }

// ServeHTTP implements http.Handler.
func (h *stormHooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
func (h *stormHooks) noteLocked(name, channel, user string) {
	kind, change, _ := strings.Cut(name, "_")
	if kind == "user" {
		channel = "" // the channel of a user says no more than the user id
	}
	subject := hookSubject(kind, channel, user)
	was, isCrowd := h.crowd[subject]
	switch change {
	case "added", "occupied", "online":
		switch {
		case !isCrowd && !isOfStorm(channel, user): // somebody who stays
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
	return strings.HasPrefix(channel, stormPublic) || strings.HasPrefix(user, stormUser)
}

func (h *stormHooks) told() StormHooks {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.evidence
}

// await returns what was told once count of it is all that is expected, or none comes any more.
func (h *stormHooks) await(ctx context.Context, count func(*StormHooks) int) (StormHooks, error) {
	deadline := time.Now().Add(stormTimeout)
	for {
		told := h.told()
		if count(&told) >= told.Expected || time.Now().After(deadline) {
			return told, nil
		}
		if !pause(ctx, stormPoll/10) {
			return told, ctx.Err()
		}
	}
}

// awaitCame returns when everybody in the crowd was told of.
func (h *stormHooks) awaitCame(ctx context.Context) error {
	_, err := h.await(ctx, func(told *StormHooks) int { return told.Came })
	return err
}

// awaitGone returns when everybody was told to be gone, and a little later: what is told then is
// told twice.
func (h *stormHooks) awaitGone(ctx context.Context) (*StormHooks, error) {
	told, err := h.await(ctx, func(told *StormHooks) int { return told.Gone })
	if err == nil && pause(ctx, stormPoll) {
		told = h.told()
	}
	return &told, err
}

// startStormServer is StartServer with room for a witness in full presence channels, and with a
// webhook that is told of everybody who comes and goes.
func startStormServer(ctx context.Context, executable, hooks string) (_ *Child, err error) {
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
`, DevelopmentApp, DevelopmentKey, DevelopmentSecret, hooks)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startServerWith(ctx, executable, []string{"--dev", "--config", file})
}

// stormHooksFigure is that of so many storms together.
func stormHooksFigure(h *StormHooks) Figure {
	return Figure{
		What: "webhooks of the same storms, stored before they are sent: member_removed, user_offline and channel_vacated, each once",
		Bar:  strconv.Itoa(h.Expected), Measured: fmt.Sprintf("%d, the last after %.2f s", h.Gone, h.LastGone),
		IsMet: h.Expected > 0 && h.Gone == h.Expected && h.Came == h.Expected && h.Doubled == 0 && h.Stray == 0,
		Note: fmt.Sprintf("%d lost, %d were told twice, %d out of place; %d of %d were told to come before; a grace of 3 s is part of the time; "+
			"p99 latency of others from the end of the storm to the last webhook: %.2f ms",
			h.Expected-h.Gone, h.Doubled, h.Stray, h.Came, h.Expected, h.Others.P99/1e3),
	}
}
