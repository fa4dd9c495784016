package link_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
	"github.com/millrace/millrace/internal/protocol"
)

// Classes of messages, each of which keeps its order.
const (
	liveClass = iota
	bulkClass
	classes
)

// stream is what one life of a node sends to one life of the other.
type stream struct {
	from, to cluster.Incarnation // to is zero until the other node is heard
	sent     [classes][]*note
	told     []cluster.Loss // the sender was told that the peer has passed over it
}

// note is a message of the model.
type note struct {
	message
	stream *stream
	class  int
	index  int // in its class
}

// side is a node with what the model knows about it.
type side struct {
	name string
	life cluster.Incarnation
	end  *link.End
	room int // of an end that keeps nothing
	out  *stream

	peer     cluster.Incarnation
	in       *stream // nil: nothing of it was received
	expected uint64
	next     [classes]int            // index of the next message of a class
	gaps     [classes][]cluster.Loss // since the last message of the class
	missing  []*note
}

// network is how a connection treats frames. Each number is a chance in a thousand.
type network struct {
	lose, repeat, overtake, reset, restart int
	isWhole                                bool // a reset makes both ends lose the frames under way, and both see it
}

// world runs two ends over a network, and checks what they do.
type world struct {
	network
	random  *rand.Rand
	options link.Options
	now     time.Duration
	sides   [2]*side
	under   [2][]*link.Frame // under way to a side
	count   map[string]int
}

func newWorld(seed uint64, n network, o link.Options) *world {
	w := &world{network: n, random: rand.New(rand.NewPCG(seed, 1)), options: o, count: map[string]int{}}
	for i, name := range []string{"a", "b"} {
		w.sides[i] = &side{name: name}
		w.start(w.sides[i])
	}
	return w
}

// start begins a life of a side.
func (w *world) start(s *side) {
	life := s.life + 1 + cluster.Incarnation(w.random.IntN(3))
	*s = side{name: s.name, life: life, end: link.New(life, 0, w.now, w.options), out: &stream{from: life}}
	s.room = s.end.Room()
}

func (w *world) chance(inThousand int) bool { return w.random.IntN(1000) < inThousand }

// step does one random thing.
func (w *world) step() error {
	i := w.random.IntN(2)
	s := w.sides[i]
	switch k := w.random.IntN(100); {
	case w.chance(w.reset):
		w.resets(i)
	case w.chance(w.restart):
		w.count["restarts"]++
		w.start(s)
	case k < 35:
		w.send(s)
	case k < 50:
		w.write(i)
	case k < 97:
		return w.deliver(i)
	default:
		w.now += time.Duration(w.random.IntN(300)) * time.Millisecond
	}
	if room := s.end.Room(); room < 0 {
		return fmt.Errorf("%s holds %d bytes more than it may", s.name, -room)
	}
	return nil
}

func (w *world) resets(i int) {
	w.count["resets"]++
	if w.isWhole {
		w.under = [2][]*link.Frame{}
		w.sides[1-i].end.Reset()
	}
	w.sides[i].end.Reset()
}

// send sends a random message from s.
func (w *world) send(s *side) {
	n := &note{stream: s.out, message: message{Bytes: w.random.IntN(200)}}
	if w.chance(10) {
		n.Bytes *= 20 // more than a frame takes, and perhaps more than an end may keep
	}
	if w.chance(150) {
		n.IsBulk, n.class = true, bulkClass
	}
	switch w.random.IntN(8) {
	case 0:
		n.Takes.Requests = true
	case 1:
		n.Takes.Reports = true
		fallthrough
	default:
		n.Takes.Topics = []protocol.Topic{topic(strconv.Itoa(w.random.IntN(12)))}
	}
	n.index = len(s.out.sent[n.class])
	s.out.sent[n.class] = append(s.out.sent[n.class], n)
	s.end.Send(n)
	w.count["sent"]++
}

// write puts the next frame of a side under way.
func (w *world) write(i int) {
	var f link.Frame
	if !w.sides[i].end.Next(w.now, 100+w.random.IntN(1000), &f) {
		return
	}
	w.count["frames"]++
	if w.chance(w.lose) {
		w.count["lost"]++
		return
	}
	w.under[1-i] = append(w.under[1-i], &f)
}

// deliver hands a frame under way to a side.
func (w *world) deliver(i int) error {
	if len(w.under[i]) == 0 {
		return nil
	}
	k := 0
	if w.chance(w.overtake) {
		w.count["overtaken"]++
		k = w.random.IntN(len(w.under[i]))
	}
	f := w.under[i][k]
	if w.chance(w.repeat) {
		w.count["repeated"]++
	} else {
		w.under[i] = slices.Delete(w.under[i], k, k+1)
	}
	return w.receive(w.sides[i], f)
}

// receive has s receive a frame and checks what that brings.
func (w *world) receive(s *side, f *link.Frame) error {
	got := s.end.Receive(w.now, f)
	if got.Superseded != 0 {
		return fmt.Errorf("%s hears of life %d, which does not exist", s.name, got.Superseded)
	}
	if got.Began != 0 {
		if got.Began <= s.peer {
			return fmt.Errorf("%s hears life %d begin after life %d", s.name, got.Began, s.peer)
		}
		if s.out.to != 0 {
			s.out = &stream{from: s.life}
		}
		s.out.to, s.peer = got.Began, got.Began
		s.in, s.expected = nil, 1
		s.next, s.gaps, s.missing = [classes]int{}, [classes][]cluster.Loss{}, nil
	}
	if got.Lost != nil {
		s.out.told = append(s.out.told, got.Lost.Loss)
	}
	if got.Gap != nil {
		w.count["gaps"]++
		if got.Gap.First != s.expected || got.Gap.Last < got.Gap.First {
			return fmt.Errorf("%s: a gap %d to %d where %d is expected", s.name, got.Gap.First, got.Gap.Last, s.expected)
		}
		s.expected = got.Gap.Last + 1
		for c := range s.gaps {
			s.gaps[c] = append(s.gaps[c], got.Gap.Loss)
		}
	}
	if len(got.Messages) > 0 && got.First != s.expected {
		return fmt.Errorf("%s: message %d where %d is expected", s.name, got.First, s.expected)
	}
	for _, m := range got.Messages {
		w.count["received"]++
		s.expected++
		if err := s.take(m.(*note)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// take checks a message that s has received.
func (s *side) take(n *note) error {
	if s.in == nil {
		s.in = n.stream
	}
	if n.stream != s.in || n.stream.from != s.peer || n.stream.to != s.life {
		return fmt.Errorf("a message from life %d to life %d, in a stream from %d to %d", n.stream.from, n.stream.to, s.peer, s.life)
	}
	if n.index < s.next[n.class] {
		return fmt.Errorf("message %d of class %d after %d", n.index, n.class, s.next[n.class]-1)
	}
	if err := s.skip(n.stream, n.class, n.index); err != nil {
		return err
	}
	s.next[n.class]++
	return nil
}

// skip checks that a reported gap has all messages of a class before an index, which is expected then.
func (s *side) skip(from *stream, class, index int) error {
	for _, missed := range from.sent[class][s.next[class]:index] {
		if !isIn(missed, s.gaps[class]) {
			return fmt.Errorf("message %d of class %d is missing, and no gap has it", missed.index, class)
		}
		s.missing = append(s.missing, missed)
	}
	s.next[class], s.gaps[class] = index, nil
	return nil
}

// isIn reports whether losses say all that the loss of n takes away.
func isIn(n *note, losses []cluster.Loss) bool {
	var all cluster.Loss
	for _, l := range losses {
		all.Topics = append(all.Topics, l.Topics...)
		all.AllTopics = all.AllTopics || l.AllTopics
		all.Requests = all.Requests || l.Requests
		all.Reports = all.Reports || l.Reports
	}
	for _, t := range n.Takes.Topics {
		if !all.AllTopics && !slices.Contains(all.Topics, t) {
			return false
		}
	}
	return len(losses) > 0 && (all.Requests || !n.Takes.Requests) && (all.Reports || !n.Takes.Reports)
}

// settle lets the network heal, and checks that all has arrived or is in a gap, within three heartbeats.
func (w *world) settle() error {
	w.network = network{isWhole: true}
	for end := w.now + 1500*time.Millisecond; w.now < end; w.now += 10 * time.Millisecond {
		for range 1000 {
			for i := range w.sides {
				w.write(i)
				for len(w.under[i]) > 0 {
					if err := w.deliver(i); err != nil {
						return err
					}
				}
			}
			if min(w.sides[0].end.NextTime(), w.sides[1].end.NextTime()) > w.now && len(w.under[0]) == 0 {
				break
			}
		}
	}
	for i, s := range w.sides {
		if err := w.sides[1-i].checkSettled(s); err != nil {
			return fmt.Errorf("%s, settled: %w", w.sides[1-i].name, err)
		}
	}
	return nil
}

// checkSettled checks that s has received or missed all that from has sent it.
func (s *side) checkSettled(from *side) error {
	if from.out.to != s.life || s.peer != from.life {
		return fmt.Errorf("life %d, of which the other knows %d, hears %d of %d", s.life, from.out.to, s.peer, from.life)
	}
	if sent := len(from.out.sent[liveClass]) + len(from.out.sent[bulkClass]); s.expected != uint64(sent)+1 {
		return fmt.Errorf("%d were sent, and %d are expected", sent, s.expected)
	}
	for class, sent := range from.out.sent {
		if err := s.skip(from.out, class, len(sent)); err != nil {
			return err
		}
	}
	for _, n := range s.missing {
		if !isIn(n, from.out.told) {
			return fmt.Errorf("message %d of class %d is missing, and its sender was not told", n.index, n.class)
		}
	}
	if room := s.end.Room(); room != s.room {
		return fmt.Errorf("%d of %d bytes are free when all is confirmed", room, s.room)
	}
	return nil
}

// run runs a world and then lets it settle, again and again.
func (w *world) run(steps int) error {
	n := w.network
	for i := range steps {
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if i%2000 == 1999 {
			if err := w.settle(); err != nil {
				return fmt.Errorf("after step %d: %w", i, err)
			}
			w.network = n
		}
	}
	return nil
}

func TestEveryMessageArrivesOnceInOrderOrIsInAGap(t *testing.T) {
	t.Parallel()
	chaos := network{lose: 50, repeat: 100, overtake: 100, reset: 2, restart: 1}
	stream := network{reset: 4, restart: 1, isWhole: true}
	small := link.Options{MaxBytes: 4 << 10}
	few := link.Options{MaxBytes: 4 << 10, MaxTopics: 6}
	for name, run := range map[string]struct {
		network network
		options link.Options
		happens []string
		never   []string
	}{
		"chaos, little room":       {chaos, small, []string{"gaps", "lost", "repeated", "overtaken", "resets", "restarts"}, nil},
		"chaos, few topics":        {chaos, few, []string{"gaps", "lost", "repeated", "overtaken", "resets", "restarts"}, nil},
		"chaos, enough room":       {chaos, link.Options{}, []string{"lost", "repeated", "overtaken", "resets", "restarts"}, []string{"gaps"}},
		"connections, little room": {stream, small, []string{"gaps", "resets", "restarts"}, nil},
		"connections, enough room": {stream, link.Options{}, []string{"resets", "restarts"}, []string{"gaps"}},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, ", seed ", seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(seed, run.network, run.options)
				if err := w.run(50_000); err != nil {
					t.Fatal(err)
				}
				t.Log(w.count)
				for _, what := range append(run.happens, "received") {
					if w.count[what] == 0 {
						t.Errorf("no %s: the run proves nothing about them", what)
					}
				}
				for _, what := range run.never {
					if n := w.count[what]; n != 0 {
						t.Errorf("%d %s, want none", n, what)
					}
				}
			})
		}
	}
}

func TestAGapThatIsPassedOverInSilenceIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(1, network{reset: 4, isWhole: true}, link.Options{MaxBytes: 4 << 10, Faults: cluster.FaultGapPassedOver})
	if err := w.run(20_000); err == nil {
		t.Error("the model finds nothing")
	}
}
