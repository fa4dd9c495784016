package directory

import (
	"context"
	"encoding/json"
	"errors"
)

// Outcome is what became, or would become, of one document of an import.
type Outcome struct {
	ID       string    `json:"id"`
	Result   string    `json:"result"` // created, new, exists or invalid
	Problems []Problem `json:"problems,omitempty"`
}

// The results of an import.
const (
	ResultCreated = "created"
	ResultNew     = "new" // it would be created
	ResultExists  = "exists"
	ResultInvalid = "invalid"
)

// Import creates the apps that are not there yet; one whose id is there already is left as it
// is, so that an import can be repeated. When any document is invalid nothing is created, and
// the error is an *Invalid without problems of its own. With dryRun nothing is created ever.
func (d *Directory) Import(ctx context.Context, documents [][]byte, dryRun bool) ([]Outcome, error) {
	outcomes, isGood := d.preview(documents)
	if !isGood {
		return outcomes, &Invalid{}
	}
	if dryRun {
		return outcomes, nil
	}
	if d.o.Store == nil {
		return nil, ErrNoStore
	}
	for i := range outcomes {
		if outcomes[i].Result != ResultNew {
			continue
		}
		_, _, err := d.Create(ctx, documents[i])
		switch {
		case errors.Is(err, ErrExists):
			outcomes[i].Result = ResultExists
		case err != nil:
			return outcomes, err
		default:
			outcomes[i].Result = ResultCreated
		}
	}
	return outcomes, nil
}

// preview says what would become of documents.
func (d *Directory) preview(documents [][]byte) (outcomes []Outcome, isGood bool) {
	s := d.known.Load()
	t, here := d.takenBesides(s, ""), map[string]bool{}
	isGood = true
	for _, raw := range documents {
		parsed, problems := s.parse(raw)
		if len(problems) > 0 {
			var doc document
			_ = json.Unmarshal(raw, &doc) // for its id, if it has one
			outcomes = append(outcomes, Outcome{ID: doc.text("id"), Result: ResultInvalid, Problems: problems})
			isGood = false
			continue
		}
		o := Outcome{ID: parsed.App.ID, Result: ResultNew}
		switch {
		case here[o.ID]:
			o.Result, o.Problems = ResultInvalid, []Problem{{Path: "id", Value: o.ID, Message: "is there twice"}}
		case s.has(o.ID):
			o.Result = ResultExists
		default:
			if o.Problems = append(t.problems(parsed.App), d.newSecrets(nil, &parsed)...); len(o.Problems) > 0 {
				o.Result = ResultInvalid
			}
		}
		if o.Result == ResultNew {
			t.take(parsed.App, SourceStore)
		}
		isGood = isGood && o.Result != ResultInvalid
		here[o.ID] = true
		outcomes = append(outcomes, o)
	}
	return outcomes, isGood
}

func (s *state) has(id string) bool {
	return s.entryOf(id, SourceFile).ID != "" || s.entryOf(id, SourceStore).ID != ""
}
