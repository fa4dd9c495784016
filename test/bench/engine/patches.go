package engine

import (
	"fmt"
	"math/rand/v2"

	"github.com/millrace/millrace/internal/entity"
)

// keyOf is the key of entity i.
func keyOf(i int) string {
	b := []byte("lot-0000000")
	writeDigits(b[4:], i)
	return string(b)
}

// entityOf is an entity of about 200 bytes.
func entityOf(i int, r *rand.Rand) []byte {
	return fmt.Appendf(nil, `{"title":"A lamp of brass, number %07d","status":"open","seller":"user-%05d","bid":{"amount":%06d,"by":"user-17"},"tags":["lamp","brass"],"ends":1893450000,"views":%06d}`,
		i, i%5000, amount(r), amount(r))
}

// amount has six digits, the first of which is not zero.
func amount(r *rand.Rand) int { return 100_000 + r.IntN(900_000) }

// patches makes batches of patches of random entities, each of two fields that sorted views
// sort by, over and over in the same memory: the engine keeps none of it. Each is different,
// so that each moves its entity. Not safe for concurrent use.
type patches struct {
	random   *rand.Rand
	entities int
	batch    entity.Batch
	bids     [][]byte // within the data of each mutation
	views    [][]byte
}

func newPatches(seed uint64, size, entities int) *patches {
	p := &patches{random: rand.New(rand.NewPCG(seed, 7)), entities: entities, batch: entity.Batch{App: appID}}
	for range size {
		data := []byte(`{"bid":{"amount":000000},"views":000000}`)
		p.batch.Mutations = append(p.batch.Mutations, entity.Mutation{Type: typeName, Data: data})
		p.bids, p.views = append(p.bids, data[17:23]), append(p.views, data[33:39])
	}
	return p
}

func (p *patches) next() *entity.Batch {
	for i := range p.batch.Mutations {
		p.batch.Mutations[i].Key = keyOf(p.random.IntN(p.entities))
		writeDigits(p.bids[i], amount(p.random))
		writeDigits(p.views[i], amount(p.random))
	}
	return &p.batch
}

// writeDigits fills b with n in decimal.
func writeDigits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
}
