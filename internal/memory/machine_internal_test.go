package memory

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadMeminfo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text  string
		total, free uint64
		ok          bool
	}{
		{"as Linux writes it", "MemTotal:       16316412 kB\nMemFree:         1 kB\nMemAvailable:    8316412 kB\n", 16316412 << 10, 8316412 << 10, true},
		{"without what is available", "MemTotal:       16316412 kB\n", 16316412 << 10, 0, false},
		{"numbers that are none", "MemTotal: many kB\nMemAvailable: -1 kB\n", 0, 0, false},
		{"nothing", "", 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			total, free, ok := readMeminfo(bufio.NewScanner(strings.NewReader(tt.text)))
			if total != tt.total || free != tt.free || ok != tt.ok {
				t.Errorf("got %d, %d, %t, want %d, %d, %t", total, free, ok, tt.total, tt.free, tt.ok)
			}
		})
	}
}
