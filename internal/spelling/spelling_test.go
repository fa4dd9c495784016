package spelling_test

import (
	"testing"

	"github.com/millrace/millrace/internal/spelling"
)

func TestClosest(t *testing.T) {
	t.Parallel()
	known := []string{"eq", "exists", "max_message", "max_messages", "limit"}
	tests := []struct{ name, word, want string }{
		{"a letter is missing", "exsts", "exists"},
		{"a letter is wrong", "limid", "limit"},
		{"two letters are exchanged", "max_mesasge", "max_message"},
		{"the closest of several", "max_message_s", "max_messages"},
		{"a short word may have one fault", "ex", "eq"},
		{"nothing of a short word is right", "zz", ""},
		{"a word of another kind", "whatever", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := spelling.Closest(tt.word, known); got != tt.want {
				t.Errorf("Closest(%q) = %q, want %q", tt.word, got, tt.want)
			}
		})
	}
}
