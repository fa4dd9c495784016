package websocket_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/websocket"
)

func TestFramesSurviveARoundTripAtEveryLengthForm(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		payload := bytes.Repeat([]byte{'x'}, n)
		for _, masked := range []bool{false, true} {
			key := [4]byte{1, 2, 3, 4}
			frame := websocket.AppendFrame(nil, websocket.OpText, payload)
			if masked {
				frame = websocket.AppendMaskedFrame(nil, websocket.OpText, payload, key)
			}
			h, size, err := websocket.ParseHeader(frame)
			if err != nil || h.Length != n || h.Masked != masked || !h.Fin || h.Op != websocket.OpText {
				t.Fatalf("length %d masked %v: got %+v, %v", n, masked, h, err)
			}
			if websocket.FrameLen(frame) != len(frame) {
				t.Errorf("FrameLen = %d, want %d", websocket.FrameLen(frame), len(frame))
			}
			body := frame[size:]
			if masked {
				websocket.Mask(h.Mask, body)
			}
			if !bytes.Equal(body, payload) {
				t.Errorf("length %d masked %v: payload changed", n, masked)
			}
			for cut := range min(size, len(frame)) {
				if _, m, err := websocket.ParseHeader(frame[:cut]); m != 0 || err != nil {
					t.Errorf("length %d cut at %d: got size %d, %v; want more wanted", n, cut, m, err)
				}
			}
		}
	}
}

func TestMalformedHeadersAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"a reserved bit", []byte{0xC1, 0x00}, websocket.ErrReserved},
		{"a reserved data opcode", []byte{0x83, 0x00}, websocket.ErrReserved},
		{"a reserved control opcode", []byte{0x8B, 0x00}, websocket.ErrReserved},
		{"a fragmented ping", []byte{0x09, 0x00}, websocket.ErrControl},
		{"a long ping", []byte{0x89, 126, 0, 126}, websocket.ErrControl},
		{"a 16-bit length that fits in 7", []byte{0x81, 126, 0, 125}, websocket.ErrLength},
		{"a 64-bit length that fits in 16", []byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, websocket.ErrLength},
		{"a length with the top bit", []byte{0x81, 127, 0x80, 0, 0, 0, 0, 1, 0, 0}, websocket.ErrLength},
	} {
		if _, _, err := websocket.ParseHeader(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestCloseReasonsAreCutAtACharacter(t *testing.T) {
	t.Parallel()
	frame := websocket.AppendClose(nil, 4009, strings.Repeat("ä", 100))
	h, n, err := websocket.ParseHeader(frame)
	if err != nil || h.Length > websocket.MaxControl {
		t.Fatalf("got %+v, %v", h, err)
	}
	code, reason, err := websocket.ParseClose(frame[n:])
	if err != nil || code != 4009 || !utf8.ValidString(reason) || len(reason) != 122 {
		t.Errorf("got %d %q %v", code, reason, err)
	}
}

func TestCloseCodesThatMustNotBeSentAreRefused(t *testing.T) {
	t.Parallel()
	for code, ok := range map[int]bool{
		999: false, 1000: true, 1001: true, 1003: true, 1004: false, 1005: false, 1006: false, 1007: true,
		1014: true, 1015: false, 1016: false, 2999: false, 3000: true, 4999: true, 5000: false,
	} {
		_, _, err := websocket.ParseClose([]byte{byte(code >> 8), byte(code)})
		if (err == nil) != ok {
			t.Errorf("code %d: got %v, want allowed %v", code, err, ok)
		}
	}
	if _, _, err := websocket.ParseClose([]byte{3}); err == nil {
		t.Error("a payload of one byte was accepted")
	}
	if _, _, err := websocket.ParseClose([]byte{0x03, 0xe8, 0xff}); err == nil {
		t.Error("a reason that is not UTF-8 was accepted")
	}
}

func TestAcceptKeyOfTheRFC(t *testing.T) {
	t.Parallel()
	if got := string(websocket.AppendAccept(nil, "dGhlIHNhbXBsZSBub25jZQ==")); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("got %s", got)
	}
}

func TestCheckUpgrade(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket",
		"Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, c := range []struct {
		name, header, value string
		want                int
	}{
		{"a good request", "", "", 0},
		{"no upgrade", "Connection", "keep-alive", 426},
		{"another protocol", "Upgrade", "h2c", 426},
		{"another version", "Sec-Websocket-Version", "8", 426},
		{"a short key", "Sec-Websocket-Key", "abc", 400},
		{"a key that is not base64", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25j!!==", 400},
	} {
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		for k, v := range good {
			r.Header.Set(k, v)
		}
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if got, hint := websocket.CheckUpgrade(r); got != c.want {
			t.Errorf("%s: got %d (%s), want %d", c.name, got, hint, c.want)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4})
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := websocket.ParseHeader(b)
		if err != nil || n == 0 {
			return
		}
		if n > len(b) || n > websocket.MaxHeader || h.Length < 0 {
			t.Fatalf("header of %d bytes in %d, length %d", n, len(b), h.Length)
		}
		if !h.Fin || h.Masked {
			return
		}
		if again := websocket.AppendHeader(nil, h.Op, h.Length); !bytes.Equal(again, b[:n]) {
			t.Fatalf("header % x encodes as % x", b[:n], again)
		}
	})
}
