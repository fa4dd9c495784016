package transcript

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/testkit"
)

// outgoing reads what a ">" line or the tail of a "dial" sends, as frames for the socket.
func (r *runner) outgoing(c *conn, what string) ([]byte, error) {
	what, err := r.expand(what)
	if err != nil {
		return nil, err
	}
	verb, rest := word(what)
	switch verb {
	case "text":
		return testkit.AppendFrame(nil, testkit.Text, []byte(rest)), nil
	case "binary":
		return testkit.AppendFrame(nil, testkit.Binary, []byte(unquote(rest, ""))), nil
	case "hex": // the bytes themselves
		return hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	case "wsping":
		return testkit.AppendFrame(nil, testkit.Ping, []byte(rest)), nil
	case "wspong":
		return testkit.AppendFrame(nil, testkit.Pong, []byte(rest)), nil
	}
	if c.isViews {
		return testkit.AppendFrame(nil, testkit.Text, []byte(viewsMessage(what))), nil
	}
	opcode, payload, err := c.speak(c.channelsMessage(what))
	return testkit.AppendFrame(nil, opcode, payload), err
}

// channelsMessage turns the shorthand of a ">" line into the JSON that it stands for.
func (c *conn) channelsMessage(what string) string {
	verb, rest := word(what)
	switch verb {
	case "subscribe":
		return c.subscribe(rest)
	case "unsubscribe":
		return frame(c.own("unsubscribe"), "", map[string]string{"channel": rest})
	case "signin":
		return frame(c.own("signin"), "", map[string]string{"user_data": rest, "auth": testkit.UserAuth(c.id, rest)})
	case "ping":
		return frame(c.own("ping"), "", nil)
	case "pong":
		return frame(c.own("pong"), "", nil)
	case "event": // event CHANNEL NAME JSON
		channel, rest := word(rest)
		name, data := word(rest)
		return frame(name, channel, json.RawMessage(unquote(data, "")))
	}
	return unquote(what, "")
}

func frame(event, channel string, data any) string {
	b, err := json.Marshal(struct {
		Event   string `json:"event"`
		Channel string `json:"channel,omitempty"`
		Data    any    `json:"data,omitempty"`
	}{event, channel, data})
	if err != nil {
		return err.Error() // the server's answer tells
	}
	return string(b)
}

// subscribe reads "CHANNEL", "CHANNEL as USER [INFO]" or "CHANNEL CHANNEL_DATA", then perhaps
// "for EVENT,EVENT", and signs.
func (c *conn) subscribe(rest string) string {
	rest, events, isFiltered := strings.Cut(rest, " for ")
	channel, channelData := word(rest)
	if member, ok := strings.CutPrefix(channelData, "as "); ok {
		user, info := word(member)
		channelData = `{"user_id":"` + user + `"}`
		if info != "" {
			channelData = `{"user_id":"` + user + `","user_info":` + info + `}`
		}
	}
	data := map[string]any{"channel": channel}
	if isFiltered {
		data["filter"] = map[string][]string{"events": strings.Split(events, ",")}
	}
	if channelData != "" {
		data["channel_data"] = channelData
	}
	if strings.HasPrefix(channel, "private-") || strings.HasPrefix(channel, "presence-") {
		data["auth"] = testkit.ChannelAuth(c.id, channel, channelData)
	}
	return frame(c.own("subscribe"), "", data)
}

// incoming turns the shorthand of a "<" line into the JSON that it stands for.
func incoming(what string) string {
	verb, rest := word(what)
	first, tail := word(rest)
	switch verb {
	case "ping", "pong":
		return `{"event":"pusher:` + verb + `"}`
	case "error": // error CODE [CHANNEL]
		if tail != "" {
			tail = `,"channel":"` + tail + `"`
		}
		return `{"event":"pusher:error","data":{"code":` + first + `,"message":"{{any}}"}` + tail + `}`
	case "succeeded": // succeeded CHANNEL [JSON]
		if tail == "" {
			tail = "{}"
		}
		return `{"event":"pusher_internal:subscription_succeeded","channel":"` + first + `","data":'` + tail + `'}`
	case "refused": // refused CHANNEL TYPE STATUS
		kind, status := word(tail)
		return `{"event":"pusher:subscription_error","channel":"` + first + `","data":{"type":"` + kind +
			`","error":"{{any}}","status":` + status + `}}`
	case "signedin": // signedin USER_DATA
		return frame("pusher:signin_success", "", map[string]string{"user_data": rest})
	case "watchlist": // watchlist [online USER...] [offline USER...]
		return watchlist(rest)
	case "added": // added CHANNEL USER [INFO]
		user, info := word(tail)
		if info == "" {
			info = "{}"
		}
		return `{"event":"pusher_internal:member_added","channel":"` + first + `","data":'{"user_id":"` + user + `","user_info":` + info + `}'}`
	case "removed": // removed CHANNEL USER
		return `{"event":"pusher_internal:member_removed","channel":"` + first + `","data":'{"user_id":"` + tail + `"}'}`
	case "kept": // kept CHANNEL SERIAL NAME TEXT
		serial, rest := word(tail)
		name, text := word(rest)
		literal, _ := json.Marshal(text) // a string always has one
		return `{"event":"` + name + `","channel":"` + first + `","data":` + string(literal) + `,"serial":` + serial + `}`
	case "event": // event CHANNEL NAME TEXT, with TEXT as a string
		name, text := word(tail)
		literal, _ := json.Marshal(text) // a string always has one
		return `{"event":"` + name + `","channel":"` + first + `","data":` + string(literal) + `}`
	}
	return what
}

func watchlist(rest string) string {
	var events []string
	for word := range strings.FieldsSeq(rest) {
		if word == "online" || word == "offline" {
			events = append(events, `{"name":"`+word+`","user_ids":[`)
			continue
		}
		last := &events[len(events)-1]
		if !strings.HasSuffix(*last, "[") {
			*last += ","
		}
		*last += `"` + word + `"`
	}
	return `{"event":"pusher_internal:watchlist_events","data":'{"events":[` + strings.Join(events, "]},") + `]}]}'}`
}

// describe writes a received frame as a "<" line would want it.
func (r *runner) describe(c *conn, f testkit.Frame) string {
	if c.isViews {
		return describeViews(f)
	}
	switch f.Opcode {
	case testkit.Close:
		return fmt.Sprintf("close %d", f.CloseCode())
	case testkit.Ping:
		return "wsping"
	case testkit.Pong:
		return "wspong " + string(f.Payload)
	}
	if text, err := c.hear(f); err == nil {
		return r.anonymise(text)
	}
	return fmt.Sprintf("opcode %d %q", f.Opcode, f.Payload)
}

// anonymise puts {{a}} where the socket id of a stands.
func (r *runner) anonymise(text string) string {
	for name, c := range r.conns {
		if c.id != "" {
			text = strings.ReplaceAll(text, c.id, "{{"+name+"}}")
		}
	}
	return text
}

// expand replaces what stands between double braces, save what the matcher understands.
func (r *runner) expand(s string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "{{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}}")
		if !ok {
			return "", fmt.Errorf("unclosed {{ in %q", s)
		}
		value, err := r.value(name)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = after
	}
}

func (r *runner) value(name string) (string, error) {
	if value, ok := r.names[name]; ok {
		return value, nil
	}
	verb, rest := word(name)
	switch verb {
	case "dir":
		return r.dir, nil
	case "now":
		return r.now(), nil
	case "answer":
		return r.answered(rest)
	case "any", "any-number", "socket-id":
		return "{{" + name + "}}", nil
	case "i":
		return strconv.Itoa(r.iteration), nil
	case "fill":
		n, err := strconv.Atoi(rest)
		return strings.Repeat("x", n), err
	case "auth", "AUTH": // auth CONN CHANNEL; AUTH has the signature in capitals
		who, channel := word(rest)
		c, err := r.conn(who)
		if err != nil {
			return "", err
		}
		key, signature, _ := strings.Cut(testkit.ChannelAuth(c.id, channel, ""), ":")
		if verb == "AUTH" {
			signature = strings.ToUpper(signature)
		}
		return key + ":" + signature, nil
	case "auth-by", "user-auth-by": // KEY SECRET CONN CHANNEL, or KEY SECRET CONN and user_data
		key, rest := word(rest)
		secret, rest := word(rest)
		who, what := word(rest)
		c, err := r.conn(who)
		if err != nil {
			return "", err
		}
		if verb == "user-auth-by" {
			what = ":user::" + strings.TrimSpace(what) // there may be a space before the end, which is braces, too
		}
		return key + ":" + testkit.SignWith(secret, c.id+":"+what), nil
	}
	c, err := r.conn(name)
	if err != nil {
		return "", err
	}
	return c.id, nil
}
