package meter

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	spoolPrefix = "ws-usage-"
	spoolSuffix = ".json"
)

// spool is a folder of batches that could not be delivered. Names begin with the time, so they sort
// in the order of the batches. One goroutine uses it.
type spool struct {
	folder   string
	maxFiles int
	maxBytes int64
	metrics  *Metrics
}

func openSpool(o Options) (*spool, error) {
	s := &spool{o.Spool, o.MaxSpoolFiles, o.MaxSpoolBytes, o.Metrics}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, fmt.Errorf("usage spool: %w", err)
	}
	// Left by a kill in the middle of a write; the batch went with the process.
	unfinished, _ := filepath.Glob(filepath.Join(s.folder, spoolPrefix+"*"+spoolSuffix+".tmp"))
	for _, path := range unfinished {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("usage spool: %w", err)
		}
	}
	return s, nil
}

// write makes room, then a file that is there whole or not at all.
func (s *spool) write(body []byte, now time.Time) error {
	if err := s.makeRoom(int64(len(body))); err != nil {
		return err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	path := filepath.Join(s.folder, fmt.Sprintf("%s%d-%s%s", spoolPrefix, now.UnixMilli(), hex.EncodeToString(random[:]), spoolSuffix))
	if err := writeSynced(path+".tmp", body); err != nil {
		_ = os.Remove(path + ".tmp") // the disk is full, or gone: the first error says it
		return err
	}
	return os.Rename(path+".tmp", path)
}

func writeSynced(path string, body []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Sync(), f.Close())
}

// list gives the spooled files, oldest first.
func (s *spool) list() ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(s.folder) // sorted
	if err != nil {
		return nil, err
	}
	files := entries[:0]
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && strings.HasPrefix(name, spoolPrefix) && strings.HasSuffix(name, spoolSuffix) {
			files = append(files, e)
		}
	}
	return files, nil
}

// makeRoom drops the oldest files until another one of size bytes fits.
func (s *spool) makeRoom(size int64) error {
	files, err := s.list()
	if err != nil {
		return err
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			size += info.Size()
		}
	}
	for len(files) > 0 && (len(files) >= s.maxFiles || size > s.maxBytes) {
		path := filepath.Join(s.folder, files[0].Name())
		body, err := os.ReadFile(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
		s.metrics.dropped.WithLabelValues(string(dropSpoolFull)).Add(float64(countEvents(body)))
		size -= int64(len(body))
		files = files[1:]
	}
	return nil
}

// oldest reads the file whose turn it is; the name is empty when there is none.
func (s *spool) oldest() (name string, body []byte, err error) {
	files, err := s.list()
	if err != nil || len(files) == 0 {
		return "", nil, err
	}
	name = files[0].Name()
	body, err = os.ReadFile(filepath.Join(s.folder, name))
	return name, body, err
}

func (s *spool) remove(name string) error { return os.Remove(filepath.Join(s.folder, name)) }
