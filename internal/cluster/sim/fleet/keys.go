package fleet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/protocol"
)

// markKeyed begins the data of a publication that was asked for with a key. The rest is the key, the content and the number of
// the item, by which the models know it.
const markKeyed = "key "

// keyLife is how long a key is kept: longer than a run takes.
const keyLife = 2 * time.Minute

// drawKey draws the key of an operation: tries of a key are some seconds apart at most.
func drawKey(r *rand.Rand, operation int) uint64 {
	const perKey, back = 50, 8
	return uint64(max(0, operation/perKey-r.IntN(back))) //nolint:gosec // positive
}

// drawContent draws the content of a request: few tries have another than the rest.
func drawContent(r *rand.Rand) string {
	const others = 12
	if r.IntN(others) == 0 {
		return "b"
	}
	return "a"
}

// once is one try of a request with a key.
type once struct {
	try model.Try
	ids []string // by which the models know its items
}

// publishOnce has a backend at the node publish with a key: to one topic or to several.
func (m *member) publishOnce(number uint64, content string) {
	f := m.fleet
	key := cluster.Key{App: "app", Name: fmt.Sprintf("k%d", number)}
	k := &cluster.Keyed{Key: key, Digest: content, TTL: keyLife}
	w := &waiting{once: &once{try: f.models.Keys.ObserveTry(model.Key{App: key.App, Key: key.Name}, content)}}
	first := int(number) //nolint:gosec // small
	if content != "a" {
		first++
	}
	for i := range 1 + number%3 {
		t := f.topics[(first*7+int(i)*5)%len(f.topics)] //nolint:gosec // small
		id := fmt.Sprintf("%s%s %s %d", markKeyed, key.Name, content, i)
		w.once.ids = append(w.once.ids, id)
		k.Items = append(k.Items, cluster.Item{Topic: t, Publication: &cluster.Publication{Event: "e", Data: []byte(id)}})
		f.models.History.ObserveAttempt(f.now(), m.id, t, id, 0)
		f.models.Patterns.ObserveAttempt(f.now(), t, id)
	}
	m.do(func(now time.Duration) { m.clients.requests[m.machine.PublishOnce(now, k)] = w })
}

// publishedOnce takes the answer to a try.
func (m *member) publishedOnce(o *once, e cluster.Answer) {
	f := m.fleet
	answer, _ := e.Message.(*cluster.PublishedOnce)
	isDone := answer != nil
	for i, id := range o.ids {
		is := cluster.Outcome{Result: e.Result}
		if answer != nil {
			is = answer.Outcomes[i]
		}
		isDone = isDone && is.Result == cluster.Done
		f.observeResult(m.id, id, is)
	}
	switch {
	case isDone:
		f.models.Keys.ObserveAnswer(f.now(), o.try, slices.Clone(answer.IDs))
	case e.Result == cluster.Conflict:
		f.models.Keys.ObserveConflict(f.now(), o.try)
	}
}

// observeKeyed tells the model of keys of a publication that is in the log, or that a node has received.
func (f *Fleet) observeKeyed(at cluster.NodeID, t protocol.Topic, p *cluster.Publication) {
	if !bytes.HasPrefix(p.Data, []byte(markKeyed)) {
		return
	}
	var key, content string
	number := 0
	_, _ = fmt.Sscanf(string(p.Data), markKeyed+"%s %s %d", &key, &content, &number) // as it was written
	f.models.Keys.ObservePublished(f.now(), at, model.Key{App: t.App, Key: key}, number, t, cluster.Position{StreamID: p.StreamID, Serial: p.Serial}, p.MessageID)
}
