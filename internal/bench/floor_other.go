//go:build !linux

package bench

import (
	"context"
	"errors"
)

// RunFloor needs Linux: the floor is raw descriptors on epoll.
func RunFloor(context.Context, FloorOptions) error {
	return errors.New("floor: needs Linux")
}
