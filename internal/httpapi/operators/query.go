package operators

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/problem"
)

// Elements of a list in one answer.
const (
	defaultPage = 100
	maxPage     = 1000
)

// pageSize is the parameter limit: how many elements are wanted at most.
func pageSize(r *httpapi.Request) (int, *problem.Problem) {
	text, ok := r.Query.Get("limit")
	if !ok {
		return defaultPage, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n < 1 || n > maxPage {
		return 0, problem.Invalid(fmt.Sprintf("limit must be a whole number from 1 to %d", maxPage))
	}
	return int(n), nil
}
