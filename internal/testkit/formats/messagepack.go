package formats

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// packMessage writes the array of 15, extras as a map, as the official client does.
func packMessage(m map[string]json.RawMessage) ([]byte, error) {
	all := make([]any, 0, len(fields()))
	for _, name := range fields() {
		raw, ok := m[name]
		if !ok {
			all = append(all, nil)
			continue
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		switch name {
		case "data":
			v = []any{"json", string(raw)}
			if text, isText := stringOf(raw); isText {
				v = []any{"string", text}
			}
		case "extras":
			v = packedExtras(v)
		}
		all = append(all, v)
	}
	return Pack(all), nil
}

func stringOf(raw json.RawMessage) (text string, ok bool) {
	return text, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil
}

func packedExtras(v any) any {
	x, _ := v.(map[string]any)
	headers, _ := x["headers"].(map[string]any)
	for name, h := range headers {
		switch h := h.(type) {
		case float64:
			headers[name] = []any{"number", h}
		case bool:
			headers[name] = []any{"bool", h}
		default:
			headers[name] = []any{"string", fmt.Sprint(h)}
		}
	}
	return x
}

// Pack writes one value as MessagePack, in its longest forms, which any decoder must read.
func Pack(v any) []byte {
	switch v := v.(type) {
	case nil:
		return []byte{0xc0}
	case bool:
		if v {
			return []byte{0xc3}
		}
		return []byte{0xc2}
	case float64:
		return binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(v))
	case int:
		return binary.BigEndian.AppendUint64([]byte{0xd3}, uint64(v))
	case string:
		return append(binary.BigEndian.AppendUint32([]byte{0xdb}, uint32(len(v))), v...)
	case []any:
		b := binary.BigEndian.AppendUint32([]byte{0xdd}, uint32(len(v)))
		for _, element := range v {
			b = append(b, Pack(element)...)
		}
		return b
	case map[string]any:
		b := binary.BigEndian.AppendUint32([]byte{0xdf}, uint32(len(v)))
		for key, value := range v {
			b = append(append(b, Pack(key)...), Pack(value)...)
		}
		return b
	}
	panic(fmt.Sprintf("no MessagePack of a %T", v))
}

// unpackMessage reads what a server sends: an array of 15.
func unpackMessage(frame []byte) (map[string]any, error) {
	v, rest, err := unpack(frame)
	all, isArray := v.([]any)
	if err != nil || !isArray || len(all) != len(fields()) || len(rest) > 0 {
		return nil, fmt.Errorf("%x is no array of %d: %w", frame, len(fields()), err)
	}
	m := map[string]any{}
	for i, name := range fields() {
		value := all[i]
		switch {
		case value == nil:
			continue
		case name == "data":
			if value, err = tagged(value); err != nil {
				return nil, err
			}
		case name == "extras":
			x, _ := value.(map[string]any)
			headers, _ := x["headers"].(map[string]any)
			for h := range headers {
				if headers[h], err = tagged(headers[h]); err != nil {
					return nil, err
				}
			}
			if key, ok := x["idempotency_key"]; ok {
				delete(x, "idempotency_key")
				x["idempotencyKey"] = key
			}
		}
		m[name] = value
	}
	return m, nil
}

// tagged is the value of an array of a kind and a value.
func tagged(v any) (any, error) {
	pair, _ := v.([]any)
	if len(pair) != 2 {
		return nil, fmt.Errorf("%v is no kind and value", v)
	}
	switch text, isText := pair[1].(string); {
	case pair[0] == "string" && isText:
		return text, nil
	case pair[0] == "json" && isText:
		return json.RawMessage(text), nil
	case pair[0] == "number", pair[0] == "bool":
		return pair[1], nil
	}
	return nil, fmt.Errorf("%v is no kind and value", v)
}

var errCut = errors.New("the MessagePack is cut off")

// unpack reads one value.
func unpack(b []byte) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errCut
	}
	c, b := b[0], b[1:]
	switch {
	case c < 0x80:
		return uint64(c), b, nil
	case c < 0x90:
		return unpackMap(b, int(c&0x0f))
	case c < 0xa0:
		return unpackArray(b, int(c&0x0f))
	case c < 0xc0:
		return unpackText(b, int(c&0x1f))
	}
	switch c {
	case 0xc0:
		return nil, b, nil
	case 0xc2, 0xc3:
		return c == 0xc3, b, nil
	case 0xcb:
		n, rest, err := unpackUint(b, 8)
		return math.Float64frombits(n), rest, err
	case 0xcc, 0xcd, 0xce, 0xcf:
		return unpackUint(b, 1<<(c-0xcc))
	case 0xd9, 0xda, 0xdb:
		n, rest, err := unpackUint(b, 1<<(c-0xd9))
		if err != nil {
			return nil, nil, err
		}
		return unpackText(rest, int(n))
	case 0xdc, 0xdd:
		n, rest, err := unpackUint(b, 2<<(c-0xdc))
		if err != nil {
			return nil, nil, err
		}
		return unpackArray(rest, int(n))
	case 0xde, 0xdf:
		n, rest, err := unpackUint(b, 2<<(c-0xde))
		if err != nil {
			return nil, nil, err
		}
		return unpackMap(rest, int(n))
	}
	return nil, nil, fmt.Errorf("a server sends no %#x", c)
}

func unpackUint(b []byte, size int) (n uint64, rest []byte, err error) {
	if len(b) < size {
		return 0, nil, errCut
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	return n, b[size:], nil
}

func unpackText(b []byte, n int) (any, []byte, error) {
	if len(b) < n {
		return nil, nil, errCut
	}
	return string(b[:n]), b[n:], nil
}

func unpackArray(b []byte, n int) (any, []byte, error) {
	var all []any
	for range n {
		v, rest, err := unpack(b)
		if err != nil {
			return nil, nil, err
		}
		all, b = append(all, v), rest
	}
	return all, b, nil
}

func unpackMap(b []byte, n int) (any, []byte, error) {
	m := map[string]any{}
	for range n {
		key, rest, err := unpack(b)
		if err != nil {
			return nil, nil, err
		}
		value, rest, err := unpack(rest)
		if err != nil {
			return nil, nil, err
		}
		m[fmt.Sprint(key)], b = value, rest
	}
	return m, b, nil
}
