package storm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// schedIdle is SCHED_IDLE of sched(7).
const schedIdle = 5

// giveWay lets every other process have the processor before pid does, also while the kernel
// ends it.
func giveWay(pid int) error {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "task")
	threads, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var problems []error
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err == nil {
			err = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedIdle}, 0)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("thread %s: %w", thread.Name(), err))
		}
	}
	return errors.Join(problems...)
}
