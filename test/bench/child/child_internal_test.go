package child

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAChildThatEndsAtOnceIsNoServer(t *testing.T) {
	t.Parallel()
	_, err := start(t.Context(), "127.0.0.1:1", "", nil, "/bin/echo", "no such command")
	if err == nil || !strings.Contains(err.Error(), "its output: no such command") {
		t.Errorf("got %v", err)
	}
}
