// Package spelling guesses which known word a misspelled one was meant to be, for error messages. It
// owns that one guess and knows no language and no format; it has no state.
package spelling

// Closest is the known word that name was probably meant to be, empty if none is close: at
// most a third of it, and one, may be wrong.
func Closest(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := distance(name, k); d <= least && d < len(k) {
			best, least = k, d-1
		}
	}
	return best
}

// distance is how many bytes must be added, dropped or replaced to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
