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

// flag is a parameter that is true or false, in words or as 1 or 0; false without it.
func (c *call) flag(name string) (bool, *failure) {
	switch text, _ := c.query.Get(name); text {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, invalid(name + " must be true or false, or 1 or 0")
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
