package hostile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/websocket"
	"github.com/millrace/millrace/test/bench/views"
)

const (
	crowded = "presence-crowd"
	// manySubscriptions is the default limit of a connection.
	manySubscriptions = 10_000
	// manyViews is the same for subscriptions to views.
	manyViews = 1000
	// manyFilters is at most how many of the largest filters a connection may have.
	manyFilters = 50
	// longName is how long the name of a channel may be by default.
	longName = 200
	// longKey is how long the key of an entity may be by default; tooLongKey fits into a message.
	shortKey, longKey, tooLongKey = 40, 1 << 10, 60 << 10
	// longType is how long the name of an entity type may be.
	longType = 200
	// windowRows are in the view of which each hostile connection has windows of its own.
	windowRows = Connections * manyViews
	// fullInfo is how large the information about a member may be by default.
	fullInfo = 2 << 10
)

// Attacks are what one connection to the app with a key can do to make a server hold much for it.
func Attacks(key string) []Attack {
	app := "/app/" + key + "?protocol=7"
	watching := "/views/" + key
	return []Attack{
		{Name: "a list of 100 members, again and again", path: app, crowd: 99, request: subscribeAgain},
		{Name: "joining and leaving 100 members", path: app, crowd: 60, request: joinAndLeave},
		{Name: "pings", path: app, request: func(*hostile, int) []byte {
			return masked(websocket.OpPing, strings.Repeat("x", websocket.MaxControl))
		}},
		{Name: "subscribing and unsubscribing", path: app, request: func(h *hostile, n int) []byte {
			name := channelOf(h, n/2, longName)
			if n%2 == 1 {
				return command("pusher:unsubscribe", "channel", name)
			}
			return command("pusher:subscribe", "channel", name)
		}},
		{Name: "channels with long names, read", path: app, reads: true, Subscriptions: manySubscriptions, request: subscribeMany("")},
		{Name: "presence channels, read", path: app, reads: true, Subscriptions: manySubscriptions, request: subscribeMany("presence-")},
		{Name: "cache channels, read", path: app, reads: true, Subscriptions: manySubscriptions, request: subscribeMany("cache-")},
		{Name: "filters, read", path: app, reads: true, Subscriptions: manyFilters, request: subscribeFiltered},
		{Name: "sign-in with a full watchlist, again and again", path: app, request: signInAgain},
		{Name: "events to each other", path: app, reads: true, request: eventsToEachOther},
		{Name: "events that are not taken", path: app, publishes: true, request: func(h *hostile, n int) []byte {
			if n > 0 {
				return nil
			}
			return command("pusher:subscribe", "channel", floodChannel(h.number))
		}},
		{Name: "a large message in many fragments, unfinished", path: app, request: fragments},
		{Name: "HTTP requests whose answers are not taken", request: func(*hostile, int) []byte {
			return []byte("GET /up HTTP/1.1\r\nHost: x\r\nX-Padding: " + strings.Repeat("x", 1000) + "\r\n\r\n")
		}},
		{Name: "a head that does not end", request: func(*hostile, int) []byte { return []byte("GET / HTTP/1.1\r\nX-" + strings.Repeat("x", 1000)) }},
		{Name: "a list of 10,000 entities, again and again", path: watching, rows: 10_000, request: func(_ *hostile, n int) []byte {
			if n%2 == 1 {
				return text(`{"type":"unsubscribe","view":"Lamp/list"}`)
			}
			return text(`{"type":"subscribe","view":"Lamp/list"}`)
		}},
		{Name: "single entities, read", path: watching, reads: true, Subscriptions: manyViews, rows: 100, request: subscribeKeys(manyViews, shortKey)},
		{Name: "single entities", path: watching, Subscriptions: manyViews, rows: 100, request: subscribeKeys(1<<30, shortKey)},
		{Name: "keys as long as they may be, read", path: watching, reads: true, Subscriptions: manyViews, request: subscribeKeys(manyViews, longKey)},
		{Name: "keys that are too long, read", path: watching, reads: true, request: subscribeKeys(manyViews, tooLongKey)},
		{Name: "types that there are not, one after the other, read", path: watching, reads: true, request: subscribeTypes(1 << 30)},
		{Name: "types that there are not, read", path: watching, reads: true, Subscriptions: manyViews, request: subscribeTypes(manyViews)},
		{Name: "reads of types that there are not", reads: true, request: readTypes},
		{Name: "windows of a busy view, read", path: watching, reads: true, Subscriptions: manyViews, rows: windowRows, shuffles: true, request: subscribeWindows},
		{Name: "windows of a busy view", path: watching, Subscriptions: manyViews, rows: windowRows, shuffles: true, request: subscribeWindows},
	}
}

// command is a message of channels whose data has these members.
func command(event string, members ...string) []byte {
	data := make(map[string]string, len(members)/2)
	for i := 0; i < len(members); i += 2 {
		data[members[i]] = members[i+1]
	}
	b, _ := json.Marshal(map[string]any{"event": event, "data": data}) // strings can be marshalled
	return text(string(b))
}

// channelOf is the n-th channel of one connection, with a name of so many bytes.
func channelOf(h *hostile, n, size int) string {
	name := fmt.Sprintf("%d-%d-", h.number, n)
	return name + strings.Repeat("x", size-len(name))
}

// signed is a proof of the app that h may subscribe.
func signed(h *hostile, channel, channelData string) string {
	return h.o.Key + ":" + auth.ChannelSignature(h.o.Secret, h.socketID, channel, channelData)
}

// fullMember is channel_data as large as it may be.
func fullMember(id string) string {
	return `{"user_id":"` + id + `","user_info":"` + strings.Repeat("x", fullInfo) + `"}`
}

func join(h *hostile, channel, user string) []byte {
	data := fullMember(user)
	return command("pusher:subscribe", "channel", channel, "channel_data", data, "auth", signed(h, channel, data))
}

func subscribeAgain(h *hostile, n int) []byte {
	if n == 0 {
		return join(h, crowded, "crowd-1")
	}
	data := `{"user_id":"crowd-1"}`
	return command("pusher:subscribe", "channel", crowded, "channel_data", data, "auth", signed(h, crowded, data))
}

func joinAndLeave(h *hostile, n int) []byte {
	if n%2 == 1 {
		return command("pusher:unsubscribe", "channel", crowded)
	}
	return join(h, crowded, "hostile-"+strconv.Itoa(h.number))
}

func subscribeMany(kind string) func(*hostile, int) []byte {
	return func(h *hostile, n int) []byte {
		if n >= manySubscriptions {
			return nil
		}
		name := kind + channelOf(h, n, longName-len(kind))
		if kind == "presence-" {
			return join(h, name, "hostile")
		}
		return command("pusher:subscribe", "channel", name)
	}
}

func subscribeFiltered(h *hostile, n int) []byte {
	if n >= manySubscriptions {
		return nil
	}
	names := make([]string, 50)
	for i := range names {
		names[i] = channelOf(h, n*len(names)+i, 200)
	}
	b, _ := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]any{ // strings can be marshalled
		"channel": channelOf(h, n, longName), "filter": map[string]any{"events": names},
	}})
	return text(string(b))
}

func signInAgain(h *hostile, _ int) []byte {
	list := make([]string, 100)
	for i := range list {
		list[i] = channelOf(h, i, 128)
	}
	watchlist, _ := json.Marshal(list) // strings can be marshalled
	data := `{"id":"hostile-` + strconv.Itoa(h.number) + `","watchlist":` + string(watchlist) + `}`
	return command("pusher:signin", "user_data", data, "auth", h.o.Key+":"+auth.UserSignature(h.o.Secret, h.socketID, data))
}

func eventsToEachOther(h *hostile, n int) []byte {
	const channel = "private-hostile"
	if n == 0 {
		return command("pusher:subscribe", "channel", channel, "auth", signed(h, channel, ""))
	}
	return text(`{"event":"client-x","channel":"` + channel + `","data":"` + strings.Repeat("x", 9<<10) + `"}`)
}

// fragments make up a message that is as large as it may be, whose last frame lacks a byte.
func fragments(_ *hostile, n int) []byte {
	const size = 1 << 10
	switch {
	case n == 0:
		b := text(strings.Repeat("x", size))
		b[0] &^= 0x80 // not the last
		return b
	case n < 62:
		b := masked(websocket.OpContinuation, strings.Repeat("x", size))
		b[0] &^= 0x80
		return b
	case n == 62:
		b := masked(websocket.OpContinuation, strings.Repeat("x", size))
		return b[:len(b)-1]
	default:
		return nil
	}
}

func subscribeKeys(most, size int) func(*hostile, int) []byte {
	return func(h *hostile, n int) []byte {
		if n >= most {
			return nil
		}
		return text(`{"type":"subscribe","view":"Lamp/state","key":"` + channelOf(h, n, size) + `"}`)
	}
}

// subscribeTypes subscribes to entity types that there are not: to each for good or, if they are more
// than a connection may have, for a moment.
func subscribeTypes(most int) func(*hostile, int) []byte {
	return func(h *hostile, n int) []byte {
		verb, of := "subscribe", n
		if most > manyViews {
			if of = n / 2; n%2 == 1 {
				verb = "unsubscribe"
			}
		}
		if of >= most {
			return nil
		}
		return text(`{"type":"` + verb + `","view":"` + channelOf(h, of, longType) + `/list"}`)
	}
}

func readTypes(h *hostile, n int) []byte {
	return []byte("GET /apps/" + h.o.App + "/views/" + channelOf(h, n, longType) + "/list HTTP/1.1\r\nHost: x\r\n\r\n")
}

// subscribeWindows subscribes to windows of one row, of which no two connections have the same.
func subscribeWindows(h *hostile, n int) []byte {
	if n >= manyViews {
		return nil
	}
	return text(fmt.Sprintf(`{"type":"subscribe","view":"`+rankedView+`","key":"%d","skip":%d,"take":1}`, n, h.number*manyViews+n))
}

// rankedView shows all lamps by their rank.
const rankedView = "Lamp/ranked"

// shuffle takes the first row of rankedView to its end and back: every window shows another row then.
func shuffle(ctx context.Context, o *bench.Options) {
	watching := *o
	watching.Views = true
	p, err := bench.NewPoster(&watching)
	if err != nil {
		return
	}
	defer p.Close()
	for i := 0; ctx.Err() == nil; i++ {
		m := fmt.Sprintf(`{"mutations":[{"entity":"Lamp","key":"moving","op":"patch","data":{"rank":%d}}]}`, i%2*(windowRows+2)-1)
		_ = p.Must(ctx, p.Of("mutations"), []byte(m)) // one more or less does not matter
	}
}

func floodChannel(number int) string { return "flood-" + strconv.Itoa(number) }

// flood publishes to the channel of each hostile connection in turn.
func flood(ctx context.Context, o *bench.Options) {
	p, err := bench.NewPoster(o)
	if err != nil {
		return
	}
	defer p.Close()
	data := []byte(strings.Repeat("x", 9<<10))
	for i := 0; ctx.Err() == nil; i++ {
		_, _ = p.Publish(ctx, floodChannel(i%Connections), data) // one more or less does not matter
	}
}

// prepare makes what is there before an attack. leave takes the crowd away.
func (a *Attack) prepare(ctx context.Context, o *bench.Options) (leave func(), err error) {
	ctx, leave = context.WithCancel(ctx)
	if a.rows > 0 {
		of := *o
		of.Views = true
		p, err := bench.NewPoster(&of)
		if err == nil {
			err = views.Fill(ctx, p, "Lamp", a.rows)
			if err == nil && a.shuffles {
				err = p.Must(ctx, p.Of("views"), []byte(`{"id":"`+rankedView+`","source":"Lamp/list","sort":[{"field":"rank"}]}`))
			}
			p.Close()
		}
		if err != nil {
			return leave, err
		}
	}
	for i := range a.crowd {
		h := &hostile{o: o, number: i}
		if err := h.connect(ctx, &Attack{path: "/app/" + o.Key + "?protocol=7"}); err != nil {
			return leave, err
		}
		if _, err := h.conn.Write(join(h, crowded, "crowd-"+strconv.Itoa(i))); err != nil {
			return leave, err
		}
		if text, err := h.next(); err != nil || !strings.Contains(text, "succeeded") {
			return leave, errors.Join(err, fmt.Errorf("a member was refused: %.200s", text))
		}
		go func() { // ends with the connection
			for _, err := h.next(); err == nil; _, err = h.next() {
			}
		}()
	}
	return leave, nil
}
