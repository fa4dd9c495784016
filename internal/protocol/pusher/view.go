package pusher

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

// prefixView begins the names of channels that stand for views. They are private: clients
// need a signature, unless views are open to all.
const prefixView = "private-view-"

// ViewChannel is the name of the channel that stands for a view. A slash, which names of
// channels cannot have, is spelled as a semicolon; any other byte that they cannot have, and
// the semicolon and the equals sign themselves, as an equals sign and two hexadecimal digits
// in capitals. No two ids have one name.
func ViewChannel(viewID string) string {
	return string(appendViewChannel(make([]byte, 0, len(prefixView)+len(viewID)+16), viewID))
}

// appendViewChannel appends what stands for itself in JSON.
func appendViewChannel(dst []byte, viewID string) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, prefixView...)
	for i := range len(viewID) {
		switch c := viewID[i]; {
		case c == '/':
			dst = append(dst, ';')
		case isPlain(c):
			dst = append(dst, c)
		default:
			dst = append(dst, '=', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// isPlain reports whether c stands for itself in the name of a view's channel.
func isPlain(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("_-.,@", c) >= 0
}

// ViewOfChannel is the id of the view that a channel stands for: the exact inverse of
// ViewChannel. It reports false for every name that ViewChannel does not give.
func ViewOfChannel(name string) (id string, ok bool) {
	spelled, ok := strings.CutPrefix(name, prefixView)
	if !ok {
		return "", false
	}
	b := make([]byte, 0, len(spelled))
	for i := 0; i < len(spelled); i++ {
		switch c := spelled[i]; {
		case c == ';':
			b = append(b, '/')
		case isPlain(c):
			b = append(b, c)
		case c == '=' && i+2 < len(spelled):
			hi, lo := hexDigit(spelled[i+1]), hexDigit(spelled[i+2])
			c = hi<<4 | lo
			if hi > 15 || lo > 15 || isPlain(c) || c == '/' {
				return "", false
			}
			b = append(b, c)
			i += 2
		default:
			return "", false
		}
	}
	return string(b), true
}

// hexDigit is the value of a digit in capitals, or more than 15.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 255
	}
}

// DecodeViewData reads what the JSON text of channel_data asks of a view: the members key,
// take, skip and after. The request is nil when there are none of them; false means that the
// text is no JSON object or that one has a wrong type, in which case nothing must be assumed
// about what its signer meant.
func DecodeViewData(text string) (*protocol.ViewRequest, bool) {
	v, ok := jsonscan.Parse([]byte(text))
	if !ok || v.Kind() != jsonscan.Object {
		return nil, false
	}
	var f viewFields
	for key, value := range v.Members() {
		f.read(key, value)
	}
	return f.request()
}

// viewFields are the members that ask something of a view; nil and null are absent.
type viewFields struct {
	key, take, skip, after jsonscan.Value
}

func (f *viewFields) read(key string, value jsonscan.Value) {
	if value.Kind() == jsonscan.Null {
		value = nil
	}
	switch key {
	case "key":
		f.key = value
	case "take":
		f.take = value
	case "skip":
		f.skip = value
	case "after":
		f.after = value
	}
}

// request is what f asks for, nil when it is nothing; false when a member has a wrong type.
func (f *viewFields) request() (*protocol.ViewRequest, bool) {
	if f.key == nil && f.take == nil && f.skip == nil && f.after == nil {
		return nil, true
	}
	var (
		r    protocol.ViewRequest
		skip *int
	)
	if !readString(&r.Key, f.key) || !readCount(&r.Take, f.take) || !readCount(&skip, f.skip) || !readString(&r.After, f.after) {
		return nil, false
	}
	if skip != nil {
		r.Skip = *skip
	}
	return &r, true
}

func readString(to **string, v jsonscan.Value) bool {
	if v == nil {
		return true
	}
	s := v.Text()
	*to = &s
	return v.Kind() == jsonscan.String
}

// readCount reads a count that may be absent.
func readCount(to **int, v jsonscan.Value) bool {
	if v == nil {
		return true
	}
	n, ok := v.Count()
	if ok {
		*to = &n
	}
	return ok
}

// appendChange appends the event by which a subscriber of a view's channel hears of one
// change, after {"event":.
func appendChange(dst []byte, p *protocol.Publication) []byte {
	c := p.Change
	dst = append(dst, `"view:`...)
	dst = jsonscan.AppendEscaped(dst, string(c.Op))
	dst = append(dst, `","channel":"`...)
	dst = appendViewChannel(dst, c.View)
	dst = append(dst, `","data":"{\"key\":`...)
	dst = appendStringTwice(dst, c.Key)
	if c.Op != protocol.OpDelete {
		dst = append(dst, `,\"data\":`...)
		dst = appendRawEscaped(dst, p.Data)
	}
	if c.Op == protocol.OpPatch && len(c.Append) > 0 {
		dst = append(dst, `,\"append\":`...)
		dst = appendStringsTwice(dst, c.Append)
	}
	if c.Seq != "" {
		dst = append(dst, `,\"seq\":`...)
		dst = appendStringTwice(dst, c.Seq)
	}
	return append(dst, `}"}`...)
}

// appendViewSubscribed appends the success of a subscription, which tells how to sort.
func appendViewSubscribed(dst []byte, m *protocol.Message) []byte {
	v := m.View
	dst = append(dst, headSucceeded...)
	dst = appendChannelOf(dst, m)
	dst = append(dst, `,"data":"{\"view\":`...)
	dst = appendStringTwice(dst, v.View)
	dst = append(dst, `,\"mode\":`...)
	dst = appendStringTwice(dst, string(v.Mode))
	if len(v.SortPath) > 0 {
		dst = append(dst, `,\"sort\":{\"field\":`...)
		dst = appendStringsTwice(dst, v.SortPath)
		order := `,\"order\":\"asc\"}`
		if v.SortDesc {
			order = `,\"order\":\"desc\"}`
		}
		dst = append(dst, order...)
	}
	return append(dst, `}"}`...)
}

func appendViewSnapshot(dst []byte, m *protocol.Message) []byte {
	dst = append(dst, headSnapshot...)
	dst = appendChannelOf(dst, m)
	dst = append(dst, `,"data":"{`...)
	if m.View.IsFirst {
		dst = append(dst, `\"whole\":`...)
		dst = strconv.AppendBool(dst, m.View.IsWhole)
		dst = append(dst, ',')
	}
	dst = append(dst, `\"data\":[`...)
	for i := range m.View.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{\"key\":`...)
		dst = appendStringTwice(dst, m.View.Rows[i].Key)
		dst = append(dst, `,\"data\":`...)
		dst = appendRawEscaped(dst, m.View.Rows[i].Data)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if len(m.View.Deleted) > 0 {
		dst = append(dst, `,\"deleted\":`...)
		dst = appendStringsTwice(dst, m.View.Deleted)
	}
	dst = append(dst, `,\"complete\":`...)
	dst = strconv.AppendBool(dst, m.View.IsComplete)
	return append(dst, `}"}`...)
}

// appendChannelOf appends the channel of a message about a view, which need not name it.
func appendChannelOf(dst []byte, m *protocol.Message) []byte {
	if m.Channel != "" {
		return jsonscan.AppendString(dst, m.Channel)
	}
	dst = appendViewChannel(append(dst, '"'), m.View.View)
	return append(dst, '"')
}

// appendRawEscaped appends a value that is JSON already, within a string.
func appendRawEscaped(dst, raw []byte) []byte {
	if len(raw) == 0 {
		return append(dst, `null`...)
	}
	return jsonscan.AppendEscaped(dst, raw)
}

// appendStringTwice appends a string literal within JSON that is itself written as a string.
func appendStringTwice(dst []byte, s string) []byte {
	dst = append(dst, `\"`...)
	dst = appendEscapedTwice(dst, s)
	return append(dst, `\"`...)
}

func appendStringsTwice(dst []byte, all []string) []byte {
	dst = append(dst, '[')
	for i, s := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendStringTwice(dst, s)
	}
	return append(dst, ']')
}
