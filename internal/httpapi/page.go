package httpapi

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
)

// Elements of a list in one answer.
const (
	defaultPage = 100
	maxPage     = 1000
)

// pageSize is the parameter limit: how many elements are wanted at most.
func (c *call) pageSize() (int, *failure) {
	text, ok := c.query.Get("limit")
	if !ok {
		return defaultPage, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n < 1 || n > maxPage {
		return 0, invalid(fmt.Sprintf("limit must be a whole number from 1 to %d", maxPage))
	}
	return int(n), nil
}

// flag is a parameter that is true or false, which it is without it.
func (c *call) flag(name string) (bool, *failure) {
	switch text, ok := c.query.Get(name); {
	case !ok, text == "false":
		return false, nil
	case text == "true":
		return true, nil
	default:
		return false, invalid(name + " must be true or false")
	}
}

// appendNumber appends a member to an object that has others before.
func appendNumber(dst []byte, name string, n int64) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, n, 10)
}

// appendText appends a member to an object that has others before.
func appendText(dst []byte, name, text string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return jsontext.AppendString(dst, text)
}
