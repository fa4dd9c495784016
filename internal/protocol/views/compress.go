package views

import (
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// compressors are worth keeping: each has hundreds of kilobytes of tables.
var compressors = sync.Pool{New: func() any { return newCompressor() }}

// compressor writes gzip to the end of a slice, as long as it stays within limit.
type compressor struct {
	gz    *gzip.Writer
	out   []byte
	limit int // that out must not reach
}

func newCompressor() *compressor {
	c := new(compressor)
	c.gz, _ = gzip.NewWriterLevel(c, gzip.BestSpeed) // fails on bad levels only
	return c
}

// Write implements io.Writer for gz. It fails as soon as compressing is not worth it.
func (c *compressor) Write(b []byte) (int, error) {
	if len(c.out)+len(b) >= c.limit {
		return 0, io.ErrShortBuffer
	}
	c.out = append(c.out, b...)
	return len(b), nil
}

// compress replaces the message dst[start:] by gzip of it when it is large enough and that is
// smaller (views 4.6). Clients know it by its first two bytes.
func (c Codec) compress(dst []byte, start int) []byte {
	threshold := c.Threshold
	if threshold == 0 {
		threshold = defaultThreshold
	}
	end := len(dst)
	size := end - start
	if threshold < 0 || size < threshold {
		return dst
	}
	z := compressors.Get().(*compressor)
	z.out, z.limit = dst, end+size
	z.gz.Reset(z)
	_, err := z.gz.Write(dst[start:end])
	if err == nil {
		err = z.gz.Close()
	}
	dst, z.out = z.out, nil
	compressors.Put(z)
	if err != nil {
		return dst[:end]
	}
	return append(dst[:start], dst[end:]...)
}
