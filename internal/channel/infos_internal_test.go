package channel

import (
	"bytes"
	"strconv"
	"testing"
	"unsafe"

	"github.com/millrace/millrace/internal/protocol"
)

func TestWhatAConnectionSaysInManyChannelsAlikeIsKeptOnce(t *testing.T) {
	t.Parallel()
	var e Engine
	var c Connection
	for n := range fewInfos {
		c.subs.Add(&subscription{channel: &channel{topic: protocol.Topic{Name: strconv.Itoa(n)}}})
	}
	say := func(b byte) protocol.Member {
		return protocol.Member{UserID: string(bytes.Repeat([]byte("u"), 1<<10)), Info: bytes.Repeat([]byte{b}, 2<<10)}
	}
	first := say('a')
	if err := e.holdInfo(&c, &first); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		m := say('a')
		if err := e.holdInfo(&c, &m); err != nil {
			t.Fatal(err)
		}
		if &m.Info[0] != &first.Info[0] || unsafe.StringData(m.UserID) != unsafe.StringData(first.UserID) {
			t.Fatal("it is kept twice")
		}
	}
	other := say('b')
	for n := range maxInfos / (2 << 10) {
		if err := e.holdInfo(&c, &other); err != nil {
			t.Fatalf("after %d others: %v", n, err)
		}
	}
	if err := e.holdInfo(&c, &other); err == nil || err.Type != protocol.TypeLimit {
		t.Errorf("beyond the limit got %v", err)
	}
	stranger := protocol.Member{UserID: "another", Info: first.Info}
	if err := e.holdInfo(&c, &stranger); err == nil || err.Type != protocol.TypeLimit {
		t.Errorf("as another user beyond the limit got %v", err)
	}
	if again := say('a'); e.holdInfo(&c, &again) != nil {
		t.Error("what is kept already was refused")
	}
	e.dropInfo(&c, other)
	if err := e.holdInfo(&c, &other); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
	for range 10_002 {
		e.dropInfo(&c, first)
	}
	for range maxInfos / (2 << 10) {
		e.dropInfo(&c, other)
	}
	if i := e.infosOf(&c); i != nil {
		t.Errorf("%d channels and %d bytes are left", i.channels, i.bytes)
	}
}
