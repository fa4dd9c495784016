package catchup

// Few is how many frames a Recent has room for at the least.
const Few = 2

// Recent remembers the keys of the last frames of a window. Frames are numbered from 1.
type Recent struct {
	keys []string // the key of number i is at i modulo their length
	from uint64   // those above it are remembered
	last uint64   // number of the last frame
}

// Last is the number of the last frame.
func (r *Recent) Last() uint64 { return r.last }

// Room is how many frames r has room for.
func (r *Recent) Room() int { return len(r.keys) }

// IsFull reports whether the next frame takes the place of another.
func (r *Recent) IsFull() bool { return r.last-r.from == uint64(len(r.keys)) }

// Add remembers the key of the next frame; when the ring is full, in place of the oldest.
func (r *Recent) Add(key string) {
	if r.IsFull() {
		r.from++
	}
	r.last++
	r.keys[r.last%uint64(len(r.keys))] = key
}

// Forget forgets all up to a number, and makes the ring as large as it should be for what is left: at
// most limit.
func (r *Recent) Forget(number uint64, limit int) {
	number = min(number, r.last)
	for r.from < number {
		r.from++
		r.keys[r.from%uint64(len(r.keys))] = ""
	}
	few := min(Few, limit)
	size, left := max(len(r.keys), few), int(r.last-r.from)
	for size < limit && left > size/2 {
		size *= 2
	}
	for size > few && left <= size/4 {
		size /= 2
	}
	r.resize(min(max(size, few), limit))
}

// resize makes room for size keys, which are not fewer than are remembered.
func (r *Recent) resize(size int) {
	if size == len(r.keys) {
		return
	}
	keys := make([]string, size)
	for i := r.from + 1; i <= r.last; i++ {
		keys[i%uint64(size)] = r.keys[i%uint64(len(r.keys))]
	}
	r.keys = keys
}

// AppendSince appends the keys of all frames with a greater number, and reports false when some have
// been forgotten.
func (r *Recent) AppendSince(dst []string, number uint64) ([]string, bool) {
	if number < r.from {
		return dst, false
	}
	for i := number + 1; i <= r.last; i++ {
		dst = append(dst, r.keys[i%uint64(len(r.keys))])
	}
	return dst, true
}
