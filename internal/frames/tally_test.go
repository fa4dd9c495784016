package frames_test

import (
	"testing"

	"github.com/millrace/millrace/internal/frames"
)

func TestTallyStopsAtWhatItCanCount(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	type count struct{ frames, bytes int64 }
	for name, tt := range map[string]struct {
		add  []count
		want count
	}{
		"nothing":                       {nil, count{}},
		"a frame":                       {[]count{{1, 100}}, count{1, 100}},
		"more than 4 GiB":               {[]count{{5, 3 * gib}, {7, 3 * gib}}, count{12, 6 * gib}},
		"all bytes that can be counted": {[]count{{1, 64*gib - 2}, {1, 1}}, count{2, 64*gib - 1}},
		"more bytes than that":          {[]count{{1, 64*gib - 2}, {1, 2}, {1, gib}}, count{3, 64*gib - 1}},
		"more frames than that":         {[]count{{1<<28 - 1, 1}, {1, 1}}, count{1<<28 - 1, 2}},
	} {
		var tally frames.Tally
		for _, c := range tt.add {
			tally = tally.Add(int(c.frames), int(c.bytes))
		}
		if got := (count{int64(tally.Frames()), int64(tally.Bytes())}); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}
