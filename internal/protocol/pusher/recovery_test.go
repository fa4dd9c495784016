package pusher_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
)

func TestDecodeResume(t *testing.T) {
	t.Parallel()
	at := func(stream string, serial uint64) protocol.StreamPosition {
		return protocol.StreamPosition{StreamID: stream, Serial: serial}
	}
	for data, want := range map[string][]protocol.Resume{
		`{"channel_positions":{"a":{"stream_id":"s","serial":41,"last_message_id":"m"}}}`: {{Channel: "a", StreamPosition: at("s", 41), LastMessageID: "m"}},
		`"{\"channel_positions\":{\"a\":{\"serial\":\"18446744073709551615\"}}}"`:         {{Channel: "a", StreamPosition: at("", math.MaxUint64)}},
		`{"channel_positions":{"a":{"serial":0,"stream_id":null}},"channel_serials":5}`:   {{Channel: "a"}},
		`{"channel_serials":{"b":2}}`:                            {{Channel: "b", StreamPosition: at("", 2), IsSerialAlone: true}},
		`{"channel_positions":null,"channel_serials":{"b":"2"}}`: {{Channel: "b", StreamPosition: at("", 2), IsSerialAlone: true}},
	} {
		c, err := pusher.Codec{}.Decode([]byte(`{"event":"sockudo:resume","data":` + data + `}`))
		if err != nil || c.Kind != protocol.CommandResume {
			t.Errorf("%s: %+v, %v", data, c, err)
		}
		if diff := cmp.Diff(want, c.Resume); diff != "" {
			t.Errorf("%s: %s", data, diff)
		}
	}
	for data, want := range map[string]int{
		`5`: 4000, `"x"`: 4000, `[]`: 4000, `{}`: 4000, `{"channel_positions":[]}`: 4000, `{"channel_positions":{"a":5}}`: 4000,
		`{"channel_positions":{"a":{"serial":-1}}}`: 4000, `{"channel_positions":{"a":{"serial":1.5}}}`: 4000,
		`{"channel_positions":{"a":{"stream_id":"s"}}}`: 4000, `{"channel_positions":{"a":{"serial":1,"last_message_id":[]}}}`: 4000,
		`{"channel_positions":{"a":{"serial":18446744073709551616}}}`: 4000, `{"channel_serials":{"a":{}}}`: 4000,
		`{"channel_positions":{}}`: 4302, `{"channel_serials":{}}`: 4302,
	} {
		if c, err := (pusher.Codec{}).Decode([]byte(`{"event":"sockudo:resume","data":` + data + `}`)); err == nil || err.CodeInV2() != want {
			t.Errorf("%s: %+v, %v, want %d", data, c, err, want)
		}
	}
}

func TestDecodePast(t *testing.T) {
	t.Parallel()
	for rewind, want := range map[string]*protocol.Rewind{
		`2`: {Count: 2}, `"30"`: {Count: 30}, `{"count":7,"seconds":5}`: {Count: 7}, `{"seconds":60}`: {Age: time.Minute},
		`{"duration_seconds":"60"}`: {Age: time.Minute}, `{"seconds":99999999999999}`: {Age: math.MaxInt64 / time.Second * time.Second},
		`0`: nil, `-1`: nil, `null`: nil, `1.5`: nil, `""`: nil, `[]`: nil, `{}`: nil, `{"count":0,"seconds":5}`: nil, `{"x":1}`: nil, `true`: nil,
	} {
		c, err := pusher.Codec{}.Decode([]byte(`{"event":"pusher:subscribe","data":{"channel":"a","rewind":` + rewind + `}}`))
		if (err == nil) != (want != nil) {
			t.Errorf("%s: %v", rewind, err)
		} else if diff := cmp.Diff(want, c.Rewind); want != nil && diff != "" {
			t.Errorf("%s: %s", rewind, diff)
		}
	}
	for since, ok := range map[string]bool{`{"serial":0}`: true, `{"stream_id":"s","serial":"7"}`: true, `null`: true, `7`: false, `{}`: false} {
		c, err := pusher.Codec{}.Decode([]byte(`{"event":"pusher:subscribe","data":{"channel":"a","since":` + since + `}}`))
		if (err == nil) != ok {
			t.Errorf("%s: %+v, %v", since, c, err)
		}
	}
}
