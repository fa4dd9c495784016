package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookInterval is how often handshakes look at the files of a certificate at most.
const lookInterval = 2 * time.Second

// Certificate is a key pair that follows its files: handshakes look at them now and then,
// and a new pair that cannot be used leaves the old one where it is. Safe for concurrent use.
type Certificate struct {
	log    *slog.Logger
	now    func() time.Time
	looked atomic.Int64 // Unix nanoseconds
	pair   atomic.Pointer[KeyPair]

	mu        sync.Mutex // held to change pair
	hasFailed bool       // since the last success; guarded by mu
	failed    stamp      // of the files that could not be used then, so that it is said once; guarded by mu
}

// KeyPair is a certificate with its key, as two files had it. It is immutable.
type KeyPair struct {
	tls.Certificate
	certFile, keyFile string
	stamp             stamp
}

// stamp tells one state of two files from another.
type stamp struct{ cert, key fs.FileInfo }

func stampOf(certFile, keyFile string) (s stamp, err error) {
	if s.cert, err = os.Stat(certFile); err != nil {
		return s, err
	}
	s.key, err = os.Stat(keyFile)
	return s, err
}

func (s stamp) equals(t stamp) bool { return isSameState(s.cert, t.cert) && isSameState(s.key, t.key) }

func isSameState(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// LoadKeyPair reads two files. The stamp is taken before, so that a change in between is
// found by the next look.
func LoadKeyPair(certFile, keyFile string) (*KeyPair, error) {
	s, err := stampOf(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	p := &KeyPair{certFile: certFile, keyFile: keyFile, stamp: s}
	if p.Certificate, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	return p, nil
}

// NewCertificate reads a pair and follows its files from then on.
func NewCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*Certificate, error) {
	p, err := LoadKeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	c := &Certificate{log: log, now: now}
	c.Use(p)
	return c, nil
}

// Use makes p the pair of all handshakes to come.
func (c *Certificate) Use(p *KeyPair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked.Store(c.now().UnixNano())
	c.hasFailed = false
	c.pair.Store(p)
}

// get returns the present pair, as tls.Config.GetCertificate.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now, looked := c.now().UnixNano(), c.looked.Load()
	if now-looked >= int64(lookInterval) && c.looked.CompareAndSwap(looked, now) {
		c.look()
	}
	return &c.pair.Load().Certificate, nil
}

// look takes a changed pair over.
func (c *Certificate) look() {
	c.mu.Lock()
	p, failed, err := c.lookLocked()
	c.mu.Unlock()
	switch {
	case failed:
		c.log.Error("new certificate cannot be used; the server keeps the old one", "err", err)
	case p != nil:
		c.log.Info("certificate renewed", "file", p.certFile, "expires", p.expires())
	}
}

// lookLocked reports a pair that it has taken over, or one that has just failed.
func (c *Certificate) lookLocked() (renewed *KeyPair, failed bool, err error) {
	old := c.pair.Load()
	s, err := stampOf(old.certFile, old.keyFile)
	if err == nil && s.equals(old.stamp) {
		c.hasFailed = false
		return nil, false, nil
	}
	if c.hasFailed && s.equals(c.failed) {
		return nil, false, nil
	}
	p, err := LoadKeyPair(old.certFile, old.keyFile)
	if c.hasFailed = err != nil; c.hasFailed {
		c.failed = s
		return nil, true, err
	}
	c.pair.Store(p)
	return p, false, nil
}

// expires is when the pair's certificate ends, the zero time if that cannot be known.
func (p *KeyPair) expires() time.Time {
	if p.Leaf == nil {
		return time.Time{}
	}
	return p.Leaf.NotAfter
}

// Config returns what serves c. Only HTTP/1.1 is offered: WebSocket is not spoken over HTTP/2 here.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.get,
		NextProtos:     []string{"http/1.1"},
	}
}

// DemandClients makes t refuse clients without a certificate of the authorities in file.
func DemandClients(t *tls.Config, file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read authorities of client certificates: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return errors.New("read authorities of client certificates: " + file + " holds none in PEM")
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	return nil
}
