package server

import (
	"context"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/gate"
	apiviews "github.com/millrace/millrace/internal/httpapi/views"
	"github.com/millrace/millrace/internal/telemetry"
)

// traced shows in each request's trace how long its mutations took to be stored and seen.
type traced struct {
	apiviews.Entities
	telemetry *telemetry.Telemetry
}

func (t traced) Apply(ctx context.Context, b *entity.Batch) (entity.Seq, error) {
	ctx, end := t.telemetry.Start(ctx, "entity.apply")
	seq, err := t.Entities.Apply(ctx, b)
	end(err)
	return seq, err
}

// mutator is what publishers' mutations are given to.
func (s *Server) mutator() apiviews.Entities {
	gated := gate.Entities{Next: s.entityStore(), Gate: s.gate}
	if s.telemetry == nil {
		return gated
	}
	return traced{gated, s.telemetry}
}
