package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func frame(channel string, payload []byte) []byte {
	return fmt.Appendf(nil, `{"event":"%s","channel":"%s","data":"%s"}`, event, channel, payload)
}

func TestStampComesBackFromAFrame(t *testing.T) {
	t.Parallel()
	m := newMark(rand.Uint32())
	tests := []struct {
		name string
		want stamp
		size int
	}{
		{"all zero", stamp{}, MinPayload},
		{"all ones", stamp{1<<32 - 1, maxPublishers - 1, noSlot, 1<<32 - 1, 1<<63 - 1}, MinPayload},
		{"a usual one with padding", stamp{17, 3, 31, 4711, 123_456_789_012}, 128},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			payload := appendStamp(nil, m, tt.want, tt.size)
			if len(payload) != tt.size {
				t.Errorf("payload has %d bytes, want %d", len(payload), tt.size)
			}
			if quoted, _ := json.Marshal(string(payload)); len(quoted) != tt.size+2 {
				t.Errorf("JSON escapes something in %s", quoted)
			}
			s := scanner{mark: m, size: tt.size}
			for _, channel := range []string{"a", "a-much-longer-name", "a"} {
				got, ok := s.find(frame(channel, payload))
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(stamp{})); !ok || diff != "" {
					t.Errorf("channel %s: found %v, want it equal:\n%s", channel, ok, diff)
				}
			}
		})
	}
}

func TestScannerRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	m := newMark(7)
	payload := appendStamp(nil, m, stamp{seq: 9}, 64)
	tests := []struct {
		name  string
		frame []byte
	}{
		{"nothing", nil},
		{"another event", []byte(`{"event":"pusher:ping"}`)},
		{"the mark of another run", frame("c", appendStamp(nil, newMark(8), stamp{}, 64))},
		{"a payload cut short", frame("c", payload[:60])},
		{"a payload with more behind it", frame("c", append(payload[:64:64], '.'))},
		{"a letter out of range in a word", frame("c", append(payload[:20:20], append([]byte("q"), payload[21:]...)...))},
		{"a digit in a word", frame("c", append(payload[:20:20], append([]byte("1"), payload[21:]...)...))},
		{"a frame that ends behind the mark", frame("c", payload)[:60]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := scanner{mark: m, size: 64}
			if got, ok := s.find(tt.frame); ok {
				t.Errorf("found %+v", got)
			}
		})
	}
}

func FuzzScan(f *testing.F) {
	m := newMark(1)
	f.Add(frame("c", appendStamp(nil, m, stamp{}, 64)), 0)
	f.Add([]byte("mr"), 5)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		s := scanner{mark: m, size: 64, at: max(0, min(at, 1<<20))}
		if st, ok := s.find(b); ok {
			again := appendStamp(nil, m, st, 64)
			if got := b[s.at : s.at+MinPayload]; string(got) != string(again[:MinPayload]) {
				t.Errorf("read %+v from %s", st, got)
			}
		}
	})
}

func TestScanAllocs(t *testing.T) {
	m := newMark(1)
	s := scanner{mark: m, size: 128}
	b := frame("bench-0", appendStamp(nil, m, stamp{}, 128))
	if n := testing.AllocsPerRun(100, func() { s.find(b) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkScan(b *testing.B) {
	m := newMark(1)
	s := scanner{mark: m, size: 128}
	f := frame("bench-0", appendStamp(nil, m, stamp{seq: 5, at: 1 << 40}, 128))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.find(f); !ok {
			b.Fatal("not found")
		}
	}
}
