package frames_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/websocket"
)

// nameCodec says the names of events, and nothing of those without.
type nameCodec struct{ protocol.Codec }

func (nameCodec) AppendPublication(dst []byte, p *protocol.Publication) []byte {
	return append(dst, p.Event...)
}

func (nameCodec) IsBinary(protocol.MessageKind) bool { return false }

func codecs() *frames.Codecs {
	var all [protocol.NumVariants]protocol.Codec
	all[protocol.VariantPusher] = nameCodec{}
	return frames.NewCodecs(all)
}

func encoder() frames.Encoder { return frames.NewEncoder(codecs()) }

func encode(e *frames.Encoder, names ...string) frames.Run {
	r := e.Begin(16, false)
	for _, name := range names {
		e.Append(&r, protocol.VariantPusher, &protocol.Publication{Event: name})
	}
	return r
}

// texts are the payloads of the frames of segments, and "|" between segments.
func texts(t *testing.T, segs ...bufpool.Segment) (list []string) {
	t.Helper()
	for i, s := range segs {
		if i > 0 {
			list = append(list, "|")
		}
		n := 0
		for b := s.Bytes(); len(b) > 0; n++ {
			h, header, err := websocket.ParseHeader(b)
			if err != nil || header == 0 || h.Op != websocket.OpText {
				t.Fatalf("no text frame: %x, %v", b, err)
			}
			list = append(list, string(b[header:header+h.Length]))
			b = b[header+h.Length:]
		}
		if n != s.Frames {
			t.Errorf("%d frames in a segment that says %d", n, s.Frames)
		}
	}
	return list
}

func TestRunsHaveTheirFrames(t *testing.T) {
	t.Parallel()
	e := encoder()
	first, second := encode(&e, "a", "", "b"), encode(&e, "c")
	if diff := cmp.Diff([]string{"a", "b", "|", "c"}, texts(t, first.Segment(), second.Segment())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var names []string
	for _, f := range slices.Concat(e.Frames(&first), e.Frames(&second)) {
		names = append(names, f.Publication.Event)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) || first.Len() != 2 || second.Bytes() != 3 {
		t.Errorf("frames of %q, %d in the first run, %d bytes in the second", names, first.Len(), second.Bytes())
	}
	first.Release()
	second.Release()
	e.Reset()
	if first.IsEncoded() || first.Len() != 0 {
		t.Error("a run that was released has frames")
	}
	if r := encode(&e, "d"); e.Frames(&r)[0].Publication.Event != "d" {
		t.Error("after Reset the frames are not the run's")
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	ps := []*protocol.Publication{{Event: "a"}, {}, {Event: "b"}}
	s := codecs().Encode(protocol.VariantPusher, ps, 16)
	if diff := cmp.Diff([]string{"a", "b"}, texts(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Buf.Release()
}

func TestAppendParts(t *testing.T) {
	t.Parallel()
	e := encoder()
	encode(&e, "another", "run")
	r := encode(&e, "a", "b", "c", "d", "e")
	for wanted, want := range map[string][]string{
		"abcde": {"a", "b", "c", "d", "e"},
		"abd":   {"a", "b", "|", "d"},
		"bce":   {"b", "c", "|", "e"},
		"e":     {"e"},
		"":      nil,
	} {
		segs, n := e.AppendParts(nil, &r, func(p *protocol.Publication) bool { return bytes.Contains([]byte(wanted), []byte(p.Event)) })
		if diff := cmp.Diff(want, texts(t, segs...)); diff != "" || n != len(wanted) {
			t.Errorf("of %q %d frames (-want +got):\n%s", wanted, n, diff)
		}
	}
}
