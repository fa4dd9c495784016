package listen

import "testing"

func TestTheReserveOfDescriptors(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]Reserve{
		100:       {First: 50, MostSpare: 25, shedding: 75, turningOff: 94},
		256:       {First: 192, MostSpare: 32, shedding: 224, turningOff: 248},
		1024:      {First: 896, MostSpare: 64, shedding: 960, turningOff: 1008},
		1_048_576: {First: 1_047_552, MostSpare: 512, shedding: 1_048_064, turningOff: 1_048_448},
	} {
		if got := reserveOf(limit); got != want {
			t.Errorf("of %d: %+v, want %+v", limit, got, want)
		}
	}
}
