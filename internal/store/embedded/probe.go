package embedded

import "context"

// Probe owns the existing folder at path for a moment. ErrLocked when another process does.
func Probe(ctx context.Context, path string) error {
	l, err := acquire(ctx, path)
	if err != nil {
		return err
	}
	return l.release()
}
