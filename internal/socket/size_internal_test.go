package socket

import (
	"testing"
	"unsafe"
)

// An idle connection is its Conn and nothing else; this is what it weighs.
func TestAConnIsSmall(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(Conn{}); n > 256 {
		t.Errorf("a Conn has %d bytes, want at most 256", n)
	}
	t.Logf("a Conn has %d bytes", unsafe.Sizeof(Conn{}))
}
