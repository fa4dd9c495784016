package server

import "testing"

func TestTheReserveOfDescriptors(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]reserve{
		100:       {first: 50, mostSpare: 25, shedding: 75, turningOff: 94},
		256:       {first: 192, mostSpare: 32, shedding: 224, turningOff: 248},
		1024:      {first: 896, mostSpare: 64, shedding: 960, turningOff: 1008},
		1_048_576: {first: 1_047_552, mostSpare: 512, shedding: 1_048_064, turningOff: 1_048_448},
	} {
		if got := reserveOf(limit); got != want {
			t.Errorf("of %d: %+v, want %+v", limit, got, want)
		}
	}
}
