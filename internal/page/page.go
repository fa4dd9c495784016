// Package page is the development page: a lobby in the browser that shows presence, client
// events and publishes at work, a table that shows a live view, and the authorization endpoint
// that such a page needs. The server mounts it in development mode only, because it signs for every
// visitor.
//
// It owns its files and three small endpoints. It must never know a connection or the fan-out:
// it publishes and changes entities through functions that it is given. It has no goroutines;
// these functions decide about order and loss.
package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// Lobby is the presence channel in which all open pages meet.
const Lobby = "presence-lobby"

// Event is the name under which the page publishes through the server.
const Event = "message"

const (
	maxForm   = 16 << 10 // bytes of a request body
	maxText   = 2 << 10  // bytes of one message
	maxUserID = 128      // pusher 2.7
	maxName   = 128      // bytes of a display name
)

// policy lets the page load its own files and talk to its own origin, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed static
var files embed.FS

// Options of the page. AppID, Key, Secret and Publish are required; other zero fields mean the default.
type Options struct {
	AppID  string
	Key    string
	Secret string

	// Origins lists the origins of other pages that may ask for signatures. The page answers to their
	// hosts, besides this machine's.
	Origins []string
	// IsExposed: other machines reach the page, by any address. It warns its readers.
	IsExposed bool
	// Program is what the commands on the page call; default millrace.
	Program func() string
	// HasOwnApp: the commands on the page must name the app, because it is not the default app of
	// the program.
	HasOwnApp bool

	// Publish sends one event to one channel; data is a JSON string literal.
	Publish func(ctx context.Context, channel, event string, data []byte) error

	// Mutate applies mutations to entities of the app; default none: there are no views, and the page
	// has no live table.
	Mutate func(ctx context.Context, mutations []entity.Mutation) error

	Log *slog.Logger // default none
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Program == nil {
		o.Program = func() string { return "millrace" }
	}
	return o
}

// New is the handler of the page: GET / and its files, POST /auth, /publish and /trade. Every
// other path is 404. It is safe for concurrent use.
func New(o Options) http.Handler {
	o = o.withDefaults()
	p := &page{o: o, market: new(market), index: template.Must(template.ParseFS(files, "static/index.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serveIndex)
	mux.HandleFunc("GET /page/{file}", p.serveFile)
	mux.HandleFunc("POST /auth", p.authorize)
	mux.HandleFunc("POST /publish", p.publish)
	if o.Mutate != nil {
		mux.HandleFunc("POST /trade", p.trade)
	}
	mux.HandleFunc("/", notFound)
	// Another site open in the same browser must not be able to sign or publish here.
	return secure(guard(&p.o, mux))
}

// Serves reports whether a path is one of the page's.
func Serves(path string) bool {
	switch path {
	case "/", "/auth", "/publish", "/trade":
		return true
	}
	return strings.HasPrefix(path, "/page/")
}

// page is immutable after New, the market aside.
type page struct {
	o      Options
	index  *template.Template
	market *market
}

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "404 NOT FOUND", http.StatusNotFound)
}

func (p *page) serveIndex(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	view := struct {
		AppID, Key, Lobby, Event, Table, Program string
		HasTable, HasOwnApp, IsExposed           bool
	}{
		AppID: p.o.AppID, Key: p.o.Key, Lobby: Lobby, Event: Event, Table: TableView, Program: shellWord(p.o.Program()),
		HasTable: p.o.Mutate != nil, HasOwnApp: p.o.HasOwnApp, IsExposed: p.o.IsExposed,
	}
	if err := p.index.Execute(&b, view); err != nil {
		p.o.Log.Error("render development page", "err", err)
		http.Error(w, "Internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // fails only when the browser went away
}

// shellWord is s as one word of a command.
func shellWord(s string) string {
	isPlain := func(c rune) bool {
		return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("/._-+", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !isPlain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (p *page) serveFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if name == "index.html" || strings.Contains(name, "/") { // a template, served at / only; another folder
		notFound(w, r)
		return
	}
	http.ServeFileFS(w, r, files, "static/"+name)
}

// authorize answers as a Pusher channel authorization endpoint does: socket_id and
// channel_name come in, auth and, for presence channels, channel_data go out
// (pusher 2.4.1). user_id and user_name say who the visitor is.
func (p *page) authorize(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	socketID, channel := r.PostForm.Get("socket_id"), r.PostForm.Get("channel_name")
	if _, ok := protocol.ParseSocketID(socketID); !ok {
		http.Error(w, "socket_id must be two numbers joined by a dot", http.StatusBadRequest)
		return
	}
	presence := strings.HasPrefix(channel, "presence-")
	switch {
	case strings.HasPrefix(channel, "private-encrypted-"):
		http.Error(w, "The development page has no master key for encrypted channels", http.StatusForbidden)
		return
	case !presence && !strings.HasPrefix(channel, "private-"):
		http.Error(w, "Only private- and presence- channels are signed", http.StatusForbidden)
		return
	}
	var answer struct {
		Auth        string `json:"auth"`
		ChannelData string `json:"channel_data,omitempty"`
	}
	if presence {
		data, err := member(r.PostForm.Get("user_id"), r.PostForm.Get("user_name"), socketID)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer.ChannelData = data
	}
	answer.Auth = p.o.Key + ":" + auth.ChannelSignature(p.o.Secret, socketID, channel, answer.ChannelData)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // fails only when the browser went away
}

// member is the channel_data of a visitor; without a user_id the connection is the user.
func member(userID, name, socketID string) (string, error) {
	if userID == "" {
		userID = "guest-" + socketID
	}
	if name == "" {
		name = "Guest"
	}
	if len(userID) > maxUserID || len(name) > maxName {
		return "", errors.New("user_id or user_name is too long")
	}
	return encode(map[string]any{"user_id": userID, "user_info": map[string]string{"name": name}})
}

// publish sends the visitor's text to the lobby the way a backend would.
func (p *page) publish(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	text, userID, name := r.PostForm.Get("text"), r.PostForm.Get("user_id"), r.PostForm.Get("user_name")
	if text == "" || len(text) > maxText || len(userID) > maxUserID || len(name) > maxName {
		http.Error(w, "text must be 1 to 2048 bytes, user_id and user_name at most 128 each", http.StatusBadRequest)
		return
	}
	data, err := encode(map[string]string{"text": text, "id": userID, "name": name})
	if err == nil { // the event's data is a string that holds JSON
		err = p.o.Publish(r.Context(), Lobby, Event, jsonscan.AppendString(nil, data))
	}
	if err != nil {
		p.o.Log.Warn("development page cannot publish", "err", err)
		http.Error(w, "Cannot publish right now; try again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "Send a form of at most 16 KB", http.StatusBadRequest)
		return false
	}
	return true
}

// encode is the compact JSON text of v, with <, > and & as they are.
func encode(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
