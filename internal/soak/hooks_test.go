package soak_test

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/millrace/millrace/internal/testkit"
)

// hooks receives webhooks and keeps the picture that they draw.
type hooks struct {
	f *faults

	mu      sync.Mutex
	seen    map[string]bool   // deliveries
	there   map[string]bool   // "channel x", "member x of y", "user x"
	clients map[string]uint64 // last client event of a sender on a channel
	seq     uint64            // of the last event of a user
	events  int
}

func newHooks(f *faults) *hooks {
	return &hooks{f: f, seen: map[string]bool{}, there: map[string]bool{}, clients: map[string]uint64{}}
}

type hookEvent struct {
	Name, Channel, Event, Data string
	UserID                     string `json:"user_id"`
	SocketID                   string `json:"socket_id"`
	Seq                        uint64
}

// ServeHTTP implements http.Handler.
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server went away while it sent
	}
	if r.Header.Get("X-Pusher-Signature") != testkit.Sign(string(body)) || r.Header.Get("X-Pusher-Key") != testkit.Key {
		h.f.add("a webhook is not signed: %v %s", r.Header, body)
	}
	var batch struct{ Events []hookEvent }
	if err := json.Unmarshal(body, &batch); err != nil {
		h.f.add("a webhook is no JSON: %v: %s", err, body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delivery := r.Header.Get("X-Millrace-Delivery")
	if h.seen[delivery] {
		return // at least once
	}
	h.seen[delivery] = true
	for i := range batch.Events {
		h.takeLocked(&batch.Events[i])
	}
}

func (h *hooks) takeLocked(e *hookEvent) {
	h.events++
	switch e.Name {
	case "channel_occupied":
		h.turnLocked("channel "+e.Channel, true)
	case "channel_vacated":
		h.turnLocked("channel "+e.Channel, false)
	case "member_added":
		h.turnLocked("member "+e.UserID+" of "+e.Channel, true)
	case "member_removed":
		h.turnLocked("member "+e.UserID+" of "+e.Channel, false)
	case "user_online", "user_offline":
		if e.Seq != h.seq+1 {
			h.f.add("webhook: %s of %s has number %d after %d", e.Name, e.UserID, e.Seq, h.seq)
		}
		h.seq = e.Seq
		h.turnLocked("user "+e.UserID, e.Name == "user_online")
	case "client_event":
		h.clientEventLocked(e)
	default:
		h.f.add("webhook: nobody asked for %q", e.Name)
	}
}

// turnLocked notes who has come or gone; each comes and goes in turn.
func (h *hooks) turnLocked(who string, isThere bool) {
	if h.there[who] == isThere {
		h.f.add("webhook: %s: told twice that it is there: %t", who, isThere)
	}
	if isThere {
		h.there[who] = true
	} else {
		delete(h.there, who)
	}
}

// clientEventLocked holds that those of one connection come in order. One that a cut
// connection has sent may or may not have been accepted.
func (h *hooks) clientEventLocked(e *hookEvent) {
	var data note
	if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
		h.f.add("webhook: data of a client event: %v: %s", err, e.Data)
	}
	if data.From != e.SocketID {
		h.f.add("webhook: a client event of %s is said to be of %s", data.From, e.SocketID)
	}
	from := e.SocketID + " on " + e.Channel
	if data.N <= h.clients[from] {
		h.f.add("webhook: client event %d of %s after %d", data.N, from, h.clients[from])
	}
	h.clients[from] = data.N
}

// picture is who is there, as told.
func (h *hooks) picture() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	copied := make(map[string]bool, len(h.there))
	for who := range h.there {
		copied[who] = true
	}
	clear(h.clients) // of connections that come no more
	return copied
}
