package bench

import (
	"testing"
)

func TestEndingFigure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ending Ending
		isMet  bool
	}{
		"nothing is lost":          {Ending{Rounds: 2, Subscribers: 600, Told: 600, Acknowledged: 9}, true},
		"one event is lost":        {Ending{Rounds: 2, Subscribers: 600, Told: 600, Acknowledged: 9, Lost: 1}, false},
		"no subscriber was asked":  {Ending{Rounds: 2, Subscribers: 600, Acknowledged: 9}, false},
		"nothing was acknowledged": {Ending{Rounds: 2, Subscribers: 600, Told: 600}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if f := endingFigure(&tt.ending); f.IsMet != tt.isMet {
				t.Errorf("met is %v, want %v: %+v", f.IsMet, tt.isMet, f)
			}
		})
	}
}

func TestOnlyTheEndOfTheServerIsAFarewell(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]bool{
		`{"event":"pusher:error","data":{"code":4200,"message":"The server is shutting down; reconnect"}}`:             true,
		`{"event":"pusher:error","data":{"code":4100,"message":"The server is shutting down; try again in a moment"}}`: true,
		`{"event":"pusher:error","data":{"code":4100,"message":"Too slow"}}`:                                           false,
		`{"event":"pusher:error"}`: false,
	} {
		if got := isFarewell([]byte(payload)); got != want {
			t.Errorf("%s: got %v, want %v", payload, got, want)
		}
	}
}
