package page

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/entity"
)

// TableView is the derived view that the page shows as a live table, and TableDefinition how
// the server must define it.
const (
	TableView       = "Quote/movers"
	TableDefinition = `{"id":"Quote/movers","source":"Quote/list",` +
		`"filter":{"field":"halted","op":"eq","value":false},` +
		`"sort":[{"field":"change","order":"desc"}],"limit":8,"fields":["name","price","change","volume"]}`
)

// listing is what the market trades: a symbol and its name, then the next.
const listing = "BARL Barley,BEAN Soybeans,CANO Canola,COCO Cocoa,COFF Coffee,CORN Corn,COTN Cotton,FLAX Flax," +
	"HONY Honey,HOPS Hops,LUMB Lumber,MAPL Maple,MILK Milk,MILL Millet,OATS Oats,OLIV Olive oil,RICE Rice,RYEG Rye," +
	"SALT Salt,SUGR Sugar,TEAS Tea,WHEA Wheat,WINE Wine,WOOL Wool"

// trades is how many symbols move in one step.
const trades = 3

// market is a toy exchange: prices walk at random, and now and then trading in a symbol is
// halted or goes on, so that rows enter, move in and leave the table.
type market struct {
	mu     sync.Mutex
	quotes []quote // guarded by mu
}

type quote struct {
	symbol, name string
	open, price  float64
	volume       int
	isHalted     bool
}

// step is what happens next, as mutations. The first step opens the market.
func (m *market) step() []entity.Mutation {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quotes == nil {
		var all []entity.Mutation
		for entry := range strings.SplitSeq(listing, ",") {
			symbol, name, _ := strings.Cut(entry, " ")
			q := quote{symbol: symbol, name: name, open: 20 + 80*rand.Float64()}
			q.price = q.open * (0.97 + 0.06*rand.Float64())
			m.quotes = append(m.quotes, q)
			all = append(all, q.mutation())
		}
		return all
	}
	moved := rand.Perm(len(m.quotes))[:trades]
	changes := make([]entity.Mutation, trades)
	for n, i := range moved {
		q := &m.quotes[i]
		if rand.IntN(6) == 0 {
			q.isHalted = !q.isHalted
		}
		// Drawn back to the opening price, or one symbol would lead for good.
		q.price *= 1 + 0.03*rand.NormFloat64() - 0.05*(q.price/q.open-1)
		q.volume += 1 + rand.IntN(900)
		changes[n] = q.mutation()
	}
	return changes
}

func (q *quote) mutation() entity.Mutation {
	return entity.Mutation{
		Type: "Quote",
		Key:  q.symbol,
		Data: fmt.Appendf(nil, `{"name":%q,"price":%.2f,"change":%.2f,"volume":%d,"halted":%t}`,
			q.name, q.price, math.Round(10000*(q.price/q.open-1))/100, q.volume, q.isHalted),
	}
}

// trade moves the market by one step.
func (p *page) trade(w http.ResponseWriter, r *http.Request) {
	if err := p.o.Mutate(r.Context(), p.market.step()); err != nil {
		p.o.Log.Warn("development page cannot trade", "err", err)
		http.Error(w, "Cannot trade right now; try again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
