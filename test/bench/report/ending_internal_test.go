package report

import (
	"testing"

	"github.com/millrace/millrace/test/bench/ending"
)

func TestEndingFigure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ending ending.Ending
		isMet  bool
	}{
		"nothing is lost":          {ending.Ending{Rounds: 2, Subscribers: 600, Told: 600, Acknowledged: 9}, true},
		"one event is lost":        {ending.Ending{Rounds: 2, Subscribers: 600, Told: 600, Acknowledged: 9, Lost: 1}, false},
		"no subscriber was asked":  {ending.Ending{Rounds: 2, Subscribers: 600, Acknowledged: 9}, false},
		"nothing was acknowledged": {ending.Ending{Rounds: 2, Subscribers: 600, Told: 600}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if f := endingFigure(&tt.ending); f.IsMet != tt.isMet {
				t.Errorf("met is %v, want %v: %+v", f.IsMet, tt.isMet, f)
			}
		})
	}
}
