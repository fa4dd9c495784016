package listen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a self-signed pair with a serial number, by which it is known again.
func writePair(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if keyFile != "" {
		replace(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	}
}

// replace puts a new file in the place of another, as tools that renew certificates do.
func replace(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestACertificateFollowsItsFiles(t *testing.T) {
	t.Parallel()
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePair(t, certFile, keyFile, 1)
	var log bytes.Buffer
	now := time.Unix(1_800_000_000, 0)
	c, err := NewCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when string, serial int64, errors int) {
		t.Helper()
		got, err := c.get(nil)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if n := got.Leaf.SerialNumber.Int64(); n != serial {
			t.Errorf("%s: certificate %d, want %d", when, n, serial)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != errors {
			t.Errorf("%s: %d errors said, want %d:\n%s", when, n, errors, &log)
		}
	}
	expect("at the start", 1, 0)
	writePair(t, certFile, keyFile, 2)
	expect("before it is time to look again", 1, 0)
	now = now.Add(lookInterval)
	expect("after a renewal", 2, 0)

	writePair(t, certFile, "", 3) // the key is another one's
	now = now.Add(lookInterval)
	expect("after half a renewal", 2, 1)
	now = now.Add(lookInterval)
	expect("the same half is said once", 2, 1)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookInterval)
	expect("without a key", 2, 2)
	now = now.Add(lookInterval)
	expect("still without a key", 2, 2)
	writePair(t, certFile, keyFile, 4)
	now = now.Add(lookInterval)
	expect("after the whole renewal", 4, 2)
}
