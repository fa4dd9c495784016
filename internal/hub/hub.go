package hub

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/backpressure"
	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/inbox"
	"github.com/millrace/millrace/internal/protocol"
)

// ErrBackpressure is returned by Reserve when there was no room until ctx ended.
var ErrBackpressure = errors.New("hub: fan-out is behind; try again later")

// ErrHeldOverflow is returned by Release when more was published during the hold than a
// held subscription keeps: its state is no longer complete and the caller must start over.
var ErrHeldOverflow = errors.New("hub: too much was published while the subscription was held")

const (
	defaultInboxBytes = 4 << 20
	// heldBytes is what a publication takes while it waits, besides its Size.
	heldBytes       = 288
	defaultHeld     = 1000
	defaultLagBytes = 64 << 10
	defaultOwnLag   = 512 << 10
	defaultFilters  = 128 << 20
	maxShards       = 256
)

// ErrLagging is returned by Release of a subscription made by Follow when more was published
// during the hold than it keeps: it lags, and the owner need not wait to bring it up to date.
var ErrLagging = errors.New("hub: the subscription lags already")

// Conn is what the hub needs of a connection.
type Conn interface {
	// WriteSegments writes or queues whole frames, in order, and never blocks. It retains
	// the buffers it must keep beyond the call. segs itself is the caller's again after it.
	// It is called with a lock of the hub held and must not call the hub.
	WriteSegments(segs []bufpool.Segment)
	// IsCongested reports whether more bytes should not be written now. After true the
	// connection's owner is told when it can go on. It is called with a lock of the hub held
	// and must not call the hub.
	IsCongested(more int) bool
}

// Options of a Hub. Zero fields mean the default.
type Options struct {
	Codecs        [protocol.NumVariants]protocol.Codec // of every variant that is attached
	Shards        int                                  // default one per two processors, see newShards
	MaxInboxBytes int                                  // of what waits for all flushers; default 4 MiB
	MaxHeld       int                                  // publications kept for one held subscription; default 1000
	MaxLagBytes   int                                  // of the keys noted for one lagging subscription; default 64 KiB
	MaxOwnLag     int                                  // bytes of the keys noted for all lagging subscriptions of a connection; default 512 KiB
	MaxFilters    int                                  // bytes of the filters of subscriptions; default 128 MiB
	Metrics       *Metrics                             // default unregistered
}

func (o Options) withDefaults() Options {
	or := func(n, byDefault int) int { return cmp.Or(max(n, 0), byDefault) }
	o.MaxInboxBytes, o.MaxHeld = or(o.MaxInboxBytes, defaultInboxBytes), or(o.MaxHeld, defaultHeld)
	o.MaxLagBytes, o.MaxOwnLag = or(o.MaxLagBytes, defaultLagBytes), or(o.MaxOwnLag, defaultOwnLag)
	o.MaxFilters = or(o.MaxFilters, defaultFilters)
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return o
}

// Hub is the fan-out of one node. All methods are safe for concurrent use.
type Hub struct {
	codecs  *frames.Codecs
	maxHeld int

	maxLag, maxOwnLag int // bytes, of a subscription and of a connection

	maxFilterBytes int64
	filterBytes    atomic.Int64 // of the filters there are

	metrics *Metrics
	seed    maphash.Seed
	shards  []*shard

	topics      table
	waiting     *backpressure.Budget // of all inboxes together
	connections atomic.Int64
}

// New makes a Hub. It delivers only while Run runs.
func New(o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		codecs: frames.NewCodecs(o.Codecs), maxHeld: o.MaxHeld, maxLag: o.MaxLagBytes, maxOwnLag: o.MaxOwnLag,
		metrics: o.Metrics, seed: maphash.MakeSeed(), maxFilterBytes: int64(o.MaxFilters),
	}
	h.waiting = backpressure.New(int64(o.MaxInboxBytes), h.metrics.waits, h.metrics.refusals)
	h.metrics.waiting.Store(h.waiting)
	h.topics.seed = h.seed
	h.newShards(o.Shards)
	return h
}

// newShards makes n shards, by default one per two processors. A flusher that has work
// fills a processor with system calls; with one for each, they and the rest of the server
// displace each other, which costs CPU per delivery, latency and, because each batch is
// smaller, a third of the throughput (docs/adr/0003).
func (h *Hub) newShards(n int) {
	if n <= 0 {
		n = max(1, runtime.GOMAXPROCS(0)/2)
	}
	for i := range min(n, maxShards) {
		h.shards = append(h.shards, newShard(h, i))
	}
}

// Run delivers until ctx ends, then what waits, and returns when all flushers have. After
// that a publication is dropped. Run is called once.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, sh := range h.shards {
		wg.Go(func() { sh.flusher.run(ctx) }) // ends with ctx, once it is woken
	}
	<-ctx.Done()
	for _, sh := range h.shards {
		sh.inbox.Wake()
	}
	wg.Wait()
	return nil
}

// Reserve waits until there is room for a publication of n bytes, or until ctx ends, which is
// ErrBackpressure. The bus of channels and the engine of views call it before they publish. The bound
// is soft: publishers that were let in together may exceed it together.
func (h *Hub) Reserve(ctx context.Context, n int) error {
	if h.waiting.Reserve(ctx, int64(n+heldBytes)) != nil {
		return ErrBackpressure
	}
	return nil
}

// Inboxes is the budget of what waits for flushers. A publisher of many publications at once paces itself
// by it.
func (h *Hub) Inboxes() *backpressure.Budget { return h.waiting }

// Receive hands publications of one topic to every shard that has subscribers of it
// (bus.Receiver). It never blocks. Calls for one topic must not be concurrent: their order is the
// order of delivery.
//
//millrace:hot BenchmarkBroadcast BenchmarkTopics TestBroadcastAllocs
func (h *Hub) Receive(ps ...*protocol.Publication) {
	for _, p := range ps {
		h.receive(p)
	}
}

func (h *Hub) receive(p *protocol.Publication) {
	size := int64(p.Size() + heldBytes)
	stripe := h.topics.stripe(&p.Topic)
	stripe.mu.RLock()
	for l := stripe.first(&p.Topic); l != nil; l = l.next {
		h.waiting.Add(size) // first, so that the flusher never takes off more than was added
		if !h.shards[l.own.shard].inbox.Put(inbox.Item[*list]{To: l, Publication: p}) {
			h.waiting.Release(size)
		}
	}
	stripe.mu.RUnlock()
}

// Lost counts a gap in what is received of a topic (bus.Receiver): subscribers of protocol 7 are not
// told, because that has no word for it.
func (h *Hub) Lost(_ protocol.Topic, _, _ protocol.Position) { h.metrics.gaps.Inc() }

// Connections is the number of attached connections.
func (h *Hub) Connections() int { return int(h.connections.Load()) }
