package server_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/testkit"
)

// stored are the settings of a node whose entities are kept in dir.
func stored(dir string, more ...string) []string {
	return testkit.ServerA(append(more, "store.driver=embedded", "store.path="+filepath.Join(dir, "store"))...)
}

func stop(t *testing.T, n *testkit.Node) {
	t.Helper()
	n.Stop()
	if err := n.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWhatWasAcknowledged is also M26: every cursor is greater than all that the same writer
// was answered with before, in this run or the last.
func TestWhatWasAcknowledgedSurvivesAndM26CursorsOnlyGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const writers, runs = 6, 4
	acknowledged := make([]int, writers)
	cursors := make([]string, writers)
	for run := range runs {
		node := testkit.Start(t, stored(dir)...)
		all := rows(t, node, "Auction/list")
		for w, n := range acknowledged {
			if n == 0 {
				continue
			}
			row, _ := all["w"+strconv.Itoa(w)].(map[string]any)
			// The one that was under way may have been applied as well.
			if got, _ := row["n"].(float64); int(got) != n && int(got) != n+1 {
				t.Errorf("run %d: writer %d was told that %d is stored, and %v is", run, w, n, row["n"])
			}
		}
		stopAt := make(chan struct{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := 0; ; i++ {
					n := acknowledged[w] + 1
					seq, err := node.Mutate(t.Context(), patch("w"+strconv.Itoa(w), `{"n":`+strconv.Itoa(n)+`}`))
					if err != nil {
						return // the node ends
					}
					if seq <= cursors[w] || len(seq) != len("1893450000123:000000000007") {
						t.Errorf("cursor %s after %s", seq, cursors[w])
					}
					acknowledged[w], cursors[w] = n, seq
					if w == 0 && i == 40 {
						close(stopAt)
					}
				}
			})
		}
		<-stopAt
		stop(t, node) // in the middle of everything
		wg.Wait()
	}
}

// TestWhoResumes cuts a client anywhere, changes and deletes in its absence, restarts the
// server, and lets the client go on from the last cursor that it has seen.
func TestWhoResumesAfterARestartEndsWithTheTruth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	state := map[string]map[string]any{}
	after := ""
	for round := range 8 {
		node := testkit.Start(t, stored(dir)...)
		v := dialViewer(t, node)
		more := ""
		if after != "" {
			more = `,"after":"` + after + `"`
			v.store = map[string]map[string]any{"Auction/list": state["Auction/list"]}
			v.cursor["Auction/list"] = after
		}
		v.subscribe(t, "Auction/list", more)
		mutateAtRandom(t, node, random, 30)
		want := rows(t, node, "Auction/list")
		v.until(t, func() string {
			if got := v.store["Auction/list"]; !v.whole["Auction/list"] || !reflect.DeepEqual(got, want) {
				return fmt.Sprintf("round %d: (-server +client):\n%s", round, cmp.Diff(want, got))
			}
			return ""
		})
		state["Auction/list"], after = maps.Clone(v.store["Auction/list"]), v.cursor["Auction/list"]
		v.Cut()
		mutateAtRandom(t, node, random, 30)
		stop(t, node)
	}
}

func mutateAtRandom(t *testing.T, n *testkit.Node, random *rand.Rand, count int) {
	t.Helper()
	for range count {
		var batch []string
		for range 1 + random.IntN(3) {
			key := "k" + strconv.Itoa(random.IntN(25))
			switch random.IntN(4) {
			case 0:
				batch = append(batch, remove(key))
			case 1:
				batch = append(batch, patch(key, fmt.Sprintf(`{"log":[%d]}`, random.IntN(100)), "log"))
			default:
				batch = append(batch, patch(key, fmt.Sprintf(`{"f%d":{"n":%d}}`, random.IntN(3), random.IntN(100))))
			}
		}
		mutate(t, n, batch...)
	}
}
