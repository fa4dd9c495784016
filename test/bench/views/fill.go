package views

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/millrace/millrace/internal/bench"
)

// fillBatch is how many entities are sent in one request.
const fillBatch = 500

// rankedKey is the key of the entity that began with a rank.
func rankedKey(rank int) string { return fmt.Sprintf("e-%07d", rank) }

// appendEntity appends an entity of about 200 bytes. Its texts are random: entities that are
// much alike would compress to nothing.
func appendEntity(dst []byte, rank int, r *rand.Rand) []byte {
	dst = append(dst, `{"rank":`...)
	dst = strconv.AppendInt(dst, int64(rank), 10)
	dst = fmt.Appendf(dst, `,"title":"A lamp of brass, number %d","seller":"user-%05d","status":"open","ends":%d,"note":"`,
		rank, r.IntN(5000), 1_893_450_000+r.IntN(1e6))
	for range 4 {
		dst = fmt.Appendf(dst, "%016x", r.Uint64())
	}
	return append(dst, `"}`...)
}

// Fill makes n entities of a type, ranked from 0 on.
func Fill(ctx context.Context, p *bench.Poster, typ string, n int) error {
	r := rand.New(rand.NewPCG(3, 4))
	var body []byte
	for i := range n {
		if len(body) == 0 {
			body = append(body, `{"mutations":[`...)
		} else {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"entity":%q,"key":%q,"op":"upsert","data":`, typ, rankedKey(i))
		body = append(appendEntity(body, i, r), '}')
		if (i+1)%fillBatch != 0 && i < n-1 {
			continue
		}
		if err := p.Must(ctx, p.Of("mutations"), append(body, `]}`...)); err != nil {
			return fmt.Errorf("fill %s: %w", typ, err)
		}
		body = body[:0]
	}
	return nil
}
