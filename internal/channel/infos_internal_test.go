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
	hold := func(m protocol.Member) *protocol.Error {
		_, _, err := e.holdInfo(&c, m)
		return err
	}
	first, _, err := e.holdInfo(&c, say('a'))
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		m, _, err := e.holdInfo(&c, say('a'))
		if err != nil {
			t.Fatal(err)
		}
		if m != first {
			t.Fatal("it is kept twice")
		}
	}
	const infoSize = 2 << 10
	other := say('b')
	if m, _, err := e.holdInfo(&c, other); err != nil || unsafe.StringData(m.UserID) != unsafe.StringData(first.UserID) {
		t.Fatalf("the id alone: it is kept twice, or %v", err)
	}
	e.dropInfo(&c, infoSize)
	for n := range maxInfos / infoSize {
		if err := hold(other); err != nil {
			t.Fatalf("after %d others: %v", n, err)
		}
	}
	if err := hold(other); err == nil || err.Type != protocol.TypeLimit {
		t.Errorf("beyond the limit got %v", err)
	}
	stranger := protocol.Member{UserID: "another", Info: first.Info}
	if err := hold(stranger); err == nil || err.Type != protocol.TypeLimit {
		t.Errorf("as another user beyond the limit got %v", err)
	}
	if hold(say('a')) != nil {
		t.Error("what is kept already was refused")
	}
	e.dropInfo(&c, infoSize)
	if err := hold(other); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
	for range 10_002 {
		e.dropInfo(&c, 0)
	}
	for range maxInfos / infoSize {
		e.dropInfo(&c, infoSize)
	}
	if i := e.infosOf(&c); i != nil {
		t.Errorf("%d channels and %d bytes are left", i.channels, i.bytes)
	}
}
