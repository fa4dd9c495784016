package protocol_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/protocol"
)

func TestParseSocketID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		ok, zero   bool
	}{
		{"an ordinary id", "4711.815", true, false},
		{"the smallest halves", "0.0", true, true},
		{"one half zero", "0.1", true, false},
		{"the greatest halves", "10000000000.10000000000", true, false},
		{"a half beyond the greatest is nobody's", "10000000001.1", true, true},
		{"a half beyond 64 bits is nobody's", "1." + strings.Repeat("9", 40), true, true},
		{"a leading zero is nobody's", "01.2", true, true},
		{"nothing", "", false, true},
		{"no dot", "4711", false, true},
		{"two dots", "1.2.3", false, true},
		{"nothing before the dot", ".1", false, true},
		{"nothing after the dot", "1.", false, true},
		{"only a dot", ".", false, true},
		{"a sign", "-1.2", false, true},
		{"a plus sign", "+1.2", false, true},
		{"a space", "1. 2", false, true},
		{"a line end", "1.2\n", false, true},
		{"letters", "a.b", false, true},
		{"an exponent", "1e3.2", false, true},
		{"digits beyond ASCII", "\u0661.2", false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			id, ok := protocol.ParseSocketID(test.text)
			if ok != test.ok || id.IsZero() != test.zero {
				t.Fatalf("got %v, %v; want ok %v, zero %v", id, ok, test.ok, test.zero)
			}
			if !test.zero && id.String() != test.text {
				t.Errorf("got %q, want %q", id, test.text)
			}
		})
	}
}

func TestNewSocketIDIsWellFormedAndUnique(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)$`)
	seen := map[protocol.SocketID]bool{}
	for range 10_000 {
		id := protocol.NewSocketID()
		if id.IsZero() || !form.MatchString(id.String()) {
			t.Fatalf("drew %q", id)
		}
		if seen[id] {
			t.Fatalf("drew %q twice", id)
		}
		seen[id] = true
		if back, ok := protocol.ParseSocketID(id.String()); !ok || back != id {
			t.Fatalf("%q was read back as %q, %v", id, back, ok)
		}
	}
}

// TestNewSocketIDIsUniform counts each half of many ids in ten equal ranges. A count
// outside six standard deviations happens once in 25 million runs; a draw of 34 bits cut
// off by remainder puts 70 % more into the lower ranges.
func TestNewSocketIDIsUniform(t *testing.T) {
	t.Parallel()
	const draws, ranges, greatest = 50_000, 10, 10_000_000_000
	var counts [2][ranges]int
	for range draws {
		for half, text := range strings.Split(protocol.NewSocketID().String(), ".") {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil || n > greatest {
				t.Fatalf("half %q: %v", text, err)
			}
			counts[half][min(n*ranges/greatest, ranges-1)]++
		}
	}
	mean := float64(draws) / ranges
	deviation := math.Sqrt(mean * (1 - 1.0/ranges))
	for half := range counts {
		for i, n := range counts[half] {
			if math.Abs(float64(n)-mean) > 6*deviation {
				t.Errorf("half %d: got %d in range %d, want about %.0f", half, n, i, mean)
			}
		}
	}
}

func FuzzParseSocketID(f *testing.F) {
	for _, s := range []string{"4711.815", "0.0", "01.2", "1.2.3", ".", "10000000001.1"} {
		f.Add(s)
	}
	form := regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := protocol.ParseSocketID(s)
		if ok != form.MatchString(s) {
			t.Fatalf("%q: got ok %v", s, ok)
		}
		if !id.IsZero() && id.String() != s {
			t.Fatalf("%q was read as %q", s, id)
		}
	})
}
