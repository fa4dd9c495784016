package server_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/internal/testkit"
)

func TestAUnixSocketServesClients(t *testing.T) {
	t.Parallel()
	onBothPaths(t, unixSocketServesClients)
}

func unixSocketServesClients(t *testing.T, setting string) {
	path := filepath.Join(t.TempDir(), "m.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close() // as a server that was killed leaves it
	node := testkit.Start(t, "http.listen=unix:"+path, "http.socket_mode=0600", setting)

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the socket has mode %o, want 600", got)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := testkit.NewPeer(local{conn}, "/app/"+testkit.Key+"?protocol=7", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	if _, err := p.Established(waitLimit); err != nil {
		t.Fatal(err)
	}
	p.Subscribe(t, "prices")

	node.Stop()
	if err := node.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end the socket is still there: %v", err)
	}
}

// local has an address that can be a Host.
type local struct{ net.Conn }

func (local) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func TestASocketThatMayNotBeTakenStays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"of a server that lives", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another server is listening there"},
		{"a file that is no socket", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "there is a file that is no socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "m.sock")
			tt.make(t, path)
			c := config.Development()
			c.HTTP.Listen, c.Metrics.Listen, c.Store.Driver = "unix:"+path, "", "memory"
			s, err := server.New(t.Context(), c, discard())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("it is gone: %v", err)
			}
		})
	}
}
