package script

import "time"

// Shrink returns a part of the operations with which fails still reports true: no single operation can be left out of it. It
// asks in the same order every time. fails reports true for all of ops.
//
// What is left out adds its wait to the operation after it, unless the failure needs less.
func Shrink(ops []Op, fails func([]Op) bool) []Op {
	for size := (len(ops) + 1) / 2; size > 0; {
		shorter, isShorter := leaveOut(ops, size, fails)
		ops = shorter
		if size == 1 && !isShorter {
			return ops
		}
		if !isShorter || size > len(ops) {
			size = max(1, min(size/2, len(ops)/2))
		}
	}
	return ops
}

// leaveOut leaves out runs of so many operations wherever the rest still fails.
func leaveOut(ops []Op, size int, fails func([]Op) bool) (rest []Op, isShorter bool) {
	for from := 0; from < len(ops); {
		to := min(from+size, len(ops))
		if rest := without(ops, from, to, true); fails(rest) {
			ops, isShorter = rest, true
			continue
		}
		if rest := without(ops, from, to, false); fails(rest) {
			ops, isShorter = rest, true
			continue
		}
		from = to
	}
	return ops, isShorter
}

// without copies operations but for some of them.
func without(ops []Op, from, to int, keepsTime bool) []Op {
	rest := make([]Op, 0, len(ops)-(to-from))
	rest = append(rest, ops[:from]...)
	var wait time.Duration
	for _, o := range ops[from:to] {
		wait += o.Wait
	}
	rest = append(rest, ops[to:]...)
	if keepsTime && from < len(rest) {
		rest[from].Wait += wait
	}
	return rest
}
