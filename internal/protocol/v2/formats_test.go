package v2_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/protocol"
	v2 "github.com/millrace/millrace/internal/protocol/v2"
	"github.com/millrace/millrace/internal/protocol/v2/messagepack"
	"github.com/millrace/millrace/internal/protocol/v2/protobuf"
	"github.com/millrace/millrace/internal/testkit/formats"
)

func codecs() map[string]protocol.Codec {
	return map[string]protocol.Codec{formats.JSON: v2.JSON{ShowsTags: true}, formats.MessagePack: messagepack.Codec{ShowsTags: true}, formats.Protobuf: protobuf.Codec{ShowsTags: true}}
}

func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "a", "client-a", "private-x", "\"\\\n\x00é€𝄞"}), rapid.String(), rapid.StringN(30, 40, 400))
}

// dataOf draws one JSON value as it may be written.
func dataOf(t *rapid.T) []byte {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		b, _ := json.Marshal(texts().Draw(t, "text"))
		return b
	default:
		b, _ := json.Marshal(map[string]any{texts().Draw(t, "key"): texts().Draw(t, "value"), "n": rapid.Int32().Draw(t, "n"), "l": []bool{true}})
		return b
	}
}

func extrasOf(t *rapid.T) *protocol.Extras {
	x := &protocol.Extras{
		IdempotencyKey: texts().Draw(t, "key"), IsEphemeral: rapid.Bool().Draw(t, "ephemeral"), HasEcho: rapid.Bool().Draw(t, "has echo"),
	}
	x.Echo = x.HasEcho && rapid.Bool().Draw(t, "echo")
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		h := protocol.Header{Name: texts().Draw(t, "name"), Kind: protocol.HeaderKind(rapid.IntRange(0, 2).Draw(t, "kind"))}
		switch h.Kind {
		case protocol.HeaderNumber:
			h.Number = rapid.OneOf(rapid.Float64Range(-1e300, 1e300), rapid.Float64Range(-10, 10), rapid.Just(0.0), rapid.Just(7.0), rapid.Just(1e21)).Draw(t, "number")
			if h.Number == 0 {
				h.Number = 0 // not minus zero
			}
		case protocol.HeaderBool:
			h.Bool = rapid.Bool().Draw(t, "bool")
		default:
			h.Text = texts().Draw(t, "value")
		}
		x.Headers = append(x.Headers, h)
	}
	x.Headers = v2.SortHeaders(x.Headers)
	return v2.NewExtras(x)
}

func tagsOf(t *rapid.T) (tags []protocol.Tag) {
	for range rapid.IntRange(0, 3).Draw(t, "tags") {
		tags = append(tags, protocol.Tag{Key: texts().Draw(t, "key"), Value: texts().Draw(t, "value")})
	}
	return v2.SortTags(tags)
}

func publicationOf(t *rapid.T) *protocol.Publication {
	p := &protocol.Publication{
		Topic: protocol.Topic{App: "77", Name: texts().Draw(t, "channel")}, Event: texts().Draw(t, "event"),
		Data: dataOf(t), UserID: texts().Draw(t, "user"),
	}
	if rapid.Bool().Draw(t, "has properties") {
		p.Properties = &protocol.Properties{
			MessageID: texts().Draw(t, "id"), StreamID: texts().Draw(t, "stream"),
			Serial: rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 127, 128, 1 << 32, math.MaxUint64})).Draw(t, "serial"),
			Extras: extrasOf(t),
		}
		p.Properties.Tags = tagsOf(t)
	}
	return p
}

// sameJSON compares JSON by meaning. The text of large integers counts.
func sameJSON(a, b string) string {
	var x, y any
	for text, to := range map[*string]*any{&a: &x, &b: &y} {
		d := json.NewDecoder(bytes.NewReader([]byte(*text)))
		d.UseNumber()
		if err := d.Decode(to); err != nil {
			return fmt.Sprintf("%s: %v", *text, err)
		}
	}
	return cmp.Diff(x, y, cmp.Comparer(func(a, b json.Number) bool {
		f, _ := a.Float64()
		g, _ := b.Float64()
		return a == b || f == g && bytes.ContainsAny([]byte(a+b), "eE.")
	}))
}

// TestFormatsMeanTheSame reads what the binary formats write by decoders that share nothing with them.
func TestFormatsMeanTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := publicationOf(t)
		want := string(v2.JSON{ShowsTags: true}.AppendPublication(nil, p))
		for format, codec := range codecs() {
			got, err := formats.Decode(format, codec.AppendPublication(nil, p))
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			// An empty event is a member in JSON alone.
			if diff := sameJSON(want, got); diff != "" && p.Event != "" {
				t.Fatalf("%s: %s\n%s\n%s", format, diff, want, got)
			}
		}
	})
}

// TestCommandsMeanTheSame writes a client's message by encoders that share nothing with the decoders.
func TestCommandsMeanTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.OneOf(rapid.SampledFrom([]string{"client-a", "sockudo:subscribe", "pusher:unsubscribe", "sockudo:signin", "x"}), texts()).Draw(t, "event")
		message := string(v2.AppendJSON(nil, &v2.Envelope{
			Event: event, Channel: texts().Draw(t, "channel"), Data: dataOf(t), Extras: extrasOf(t),
		}))
		want, wantErr := v2.JSON{}.Decode([]byte(message))
		for format, codec := range codecs() {
			frame, err := formats.Encode(format, message)
			if err != nil {
				t.Fatal(err)
			}
			got, gotErr := codec.Decode(frame)
			if (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%s of %s: got %v, want %v", format, message, gotErr, wantErr)
			}
			var diff string
			if len(want.Data) > 0 && len(got.Data) > 0 { // a string may be written in another way
				diff = sameJSON(string(want.Data), string(got.Data))
				want, got := want, got
				want.Data, got.Data = nil, nil
				diff += cmp.Diff(want, got)
			} else {
				diff = cmp.Diff(want, got)
			}
			if diff != "" {
				t.Fatalf("%s of %s: %s", format, message, diff)
			}
		}
	})
}

// TestEnvelopesComeBack: what a codec writes, it reads.
func TestEnvelopesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := v2.Envelope{
			Event: texts().Draw(t, "event"), Channel: texts().Draw(t, "channel"), Data: dataOf(t), UserID: texts().Draw(t, "user"),
			MessageID: texts().Draw(t, "id"), StreamID: texts().Draw(t, "stream"), Serial: rapid.Uint64().Draw(t, "serial"), Extras: extrasOf(t),
		}
		e.Tags = tagsOf(t)
		for name, again := range map[string]func() (v2.Envelope, bool){
			formats.MessagePack: func() (v2.Envelope, bool) { return messagepack.Decode(messagepack.Append(nil, &e)) },
			formats.Protobuf:    func() (v2.Envelope, bool) { return protobuf.Decode(protobuf.Append(nil, &e)) },
		} {
			got, ok := again()
			if !ok {
				t.Fatalf("%s: it does not come back", name)
			}
			want := e
			if text, isText := want.String(); isText {
				want.Data, want.Text, want.HasText = nil, append([]byte{}, text...), true
				got.Text = append([]byte{}, got.Text...)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	})
}
