//go:build !linux

package floor

import (
	"context"
	"errors"
)

// Run needs Linux: the floor is raw descriptors on epoll.
func Run(context.Context, Options) error {
	return errors.New("floor: needs Linux")
}
