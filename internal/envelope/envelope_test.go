package envelope_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/envelope"
	"github.com/millrace/millrace/internal/protocol"
)

func socket(tb testing.TB) protocol.SocketID {
	tb.Helper()
	id, ok := protocol.ParseSocketID("4711.815")
	if !ok {
		tb.Fatal("socket id")
	}
	return id
}

// publications are those of the golden files, by name.
func publications(tb testing.TB) map[string]*envelope.Publication {
	return map[string]*envelope.Publication{
		"empty": {},
		"text":  {Event: "greeting", Content: envelope.ContentText},
		"usual": {
			Time: 1_900_000_000_123, StreamID: "5b0c3c0e", Serial: 41, MessageID: "77aa", Event: "trade",
			Content: envelope.ContentJSON, Data: []byte(`"{\"p\":1}"`),
		},
		"member": {Kind: protocol.KindMemberAdded, UserID: "17", HasNumericID: true, Content: envelope.ContentJSON, Data: []byte(`{"name":"Ada"}`)},
		"count":  {Kind: protocol.KindSubscriptionCount, Count: 300, Epoch: math.MaxUint64},
		"full": {
			Kind: protocol.KindEvent, Time: -1, StreamID: "s", Serial: math.MaxUint64, Epoch: 1, MessageID: "m", Event: "sockudo:message.update",
			Name: "note", Count: 1, Content: envelope.ContentBinary, ContentType: "image/png", UserID: "u7", NoDelta: true, Except: socket(tb),
			Tags: []protocol.Tag{{Key: "", Value: ""}, {Key: "region", Value: "eu"}},
			Extras: &protocol.Extras{
				Headers: []protocol.Header{
					{Name: "", Text: ""},
					{Name: "n", Kind: protocol.HeaderNumber, Number: -7.5},
					{Name: "s", Text: "text"},
					{Name: "t", Kind: protocol.HeaderBool, Bool: true},
				},
				IdempotencyKey: "k", IsEphemeral: true, HasEcho: true, Echo: true, Push: []byte(`{"title":"x"}`),
			},
			Version: &envelope.Version{
				Action: envelope.ActionUpdate, MessageSerial: "00000001900000000000:n:00000000000000000001", VersionSerial: "00000001900000000000:n:00000000000000000002",
				HistorySerial: 40, Time: 1_900_000_000_124, ClientID: "u7", CreatorID: "u8", Description: "typo", Metadata: []byte(`{"a":1}`),
				ClearsName: true, ClearsData: true, ClearsExtras: true,
			},
			IdempotencyKey: "request-1", Digest: []byte{1, 2, 3}, Data: []byte{0, 255},
		},
		"extras without any": {Extras: &protocol.Extras{}, Version: &envelope.Version{}},
	}
}

// What was stored once must be read for ever.
func TestGoldenBytes(t *testing.T) {
	t.Parallel()
	for name, p := range publications(t) {
		file := filepath.Join("testdata", "golden", strings.ReplaceAll(name, " ", "-")+".hex")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v; its content would be\n%s", err, hex.EncodeToString(envelope.Append(nil, p)))
			continue
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got := envelope.Append(nil, p); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%x\nwant\n%x", name, got, want)
		}
		got, err := envelope.Decode(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(p, got, cmp.AllowUnexported(protocol.SocketID{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnEnvelopeIsCompletedByAppending(t *testing.T) {
	t.Parallel()
	for name, p := range publications(t) {
		got := envelope.AppendData(envelope.AppendWithoutData(nil, p), p.Data)
		if want := envelope.Append(nil, p); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", name, got, want)
		}
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		envelope string
		want     error
	}{
		"nothing":                    {"", envelope.ErrDamaged},
		"a newer form":               {"02", envelope.ErrNewer},
		"an unknown field":           {"017e01", envelope.ErrNewer},
		"an unknown kind":            {"010206", envelope.ErrNewer},
		"an unknown kind of data":    {"011404", envelope.ErrNewer},
		"an unknown flag":            {"011a04", envelope.ErrNewer},
		"an unknown field of extras": {"012102" + "7e01", envelope.ErrNewer},
		"an unknown header":          {"0121050303" + "016103", envelope.ErrNewer},
		"an unknown action":          {"012302" + "0205", envelope.ErrNewer},
		"fields out of order":        {"0110010e0161", envelope.ErrDamaged},
		"a field twice":              {"010f01610f0161", envelope.ErrDamaged},
		"a number for a text":        {"010e01", envelope.ErrDamaged},
		"a text for a number":        {"01090161", envelope.ErrDamaged},
		"a field that says nothing":  {"010800", envelope.ErrDamaged},
		"an empty text":              {"010f00", envelope.ErrDamaged},
		"a number that is too long":  {"01088100", envelope.ErrDamaged},
		"a text that is cut off":     {"010f0361", envelope.ErrDamaged},
		"a length that overflows":    {"010fffffffffffffffffff01", envelope.ErrDamaged},
		"tags out of order":          {"011f08" + "01620161" + "01610162", envelope.ErrDamaged},
		"an echo that means nothing": {"012102" + "0404", envelope.ErrDamaged},
		"data of no kind":            {"018140" + "0161", envelope.ErrDamaged},
		"a socket id of none":        {"011d03302e30", envelope.ErrDamaged},
	} {
		b, err := hex.DecodeString(c.envelope)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := envelope.Decode(b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*envelope.Publication{
		"a change of a view":   {Kind: protocol.KindChange},
		"data of no kind":      {Data: []byte("x")},
		"no JSON":              {Content: envelope.ContentJSON},
		"unknown kind of data": {Content: 9},
		"tags twice":           {Tags: []protocol.Tag{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}},
		"headers out of order": {Extras: &protocol.Extras{Headers: []protocol.Header{{Name: "b"}, {Name: "a"}}}},
		"no number":            {Extras: &protocol.Extras{Headers: []protocol.Header{{Kind: protocol.HeaderNumber, Number: math.NaN()}}}},
		"unknown action":       {Version: &envelope.Version{Action: 9}},
	} {
		if p.Problem() == "" {
			t.Errorf("%s: no problem", name)
		}
	}
	for name, p := range publications(t) {
		if problem := p.Problem(); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// FuzzDecode: whatever is accepted is the one envelope of what it says.
func FuzzDecode(f *testing.F) {
	for _, p := range publications(f) {
		f.Add(envelope.Append(nil, p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := envelope.Decode(b)
		if err != nil {
			if !errors.Is(err, envelope.ErrNewer) && !errors.Is(err, envelope.ErrDamaged) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if problem := p.Problem(); problem != "" {
			t.Errorf("decoded, but %s", problem)
		}
		if again := envelope.Append(nil, p); !bytes.Equal(again, b) {
			t.Errorf("got  %x\nwant %x", again, b)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	p := publications(b)["usual"]
	p.Data = bytes.Repeat([]byte("x"), 200)
	var room []byte
	b.ReportAllocs()
	for b.Loop() {
		room = envelope.Append(room[:0], p)
	}
}

func BenchmarkDecode(b *testing.B) {
	p := publications(b)["usual"]
	p.Data = bytes.Repeat([]byte("x"), 200)
	e := envelope.Append(nil, p)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Decode(e); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWhatIsDecodedLikeAnother(t *testing.T) {
	t.Parallel()
	all := publications(t)
	for name, p := range all {
		for other, like := range all {
			got := &envelope.Publication{}
			if err := envelope.DecodeLike(got, envelope.Append(nil, p), like); err != nil {
				t.Errorf("%s like %s: %v", name, other, err)
			}
			if diff := cmp.Diff(p, got, cmp.AllowUnexported(protocol.SocketID{})); diff != "" {
				t.Errorf("%s like %s (-want +got):\n%s", name, other, diff)
			}
		}
	}
}
