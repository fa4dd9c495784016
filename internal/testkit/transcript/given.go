package transcript

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/testkit"
)

// mutate reads "KEY [OP] [DATA] [append=PATH,PATH] [as=NAME]" for an entity of type Auction.
func (r *runner) mutate(ctx context.Context, rest string) error {
	rest, err := r.expand(rest)
	if err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	key, rest := word(rest)
	m := map[string]any{"entity": "Auction", "key": key}
	if op, tail := word(rest); !strings.HasPrefix(op, "{") {
		m["op"], rest = op, tail
	}
	if strings.HasPrefix(rest, "{") {
		var data json.RawMessage
		d := json.NewDecoder(strings.NewReader(rest))
		if err := d.Decode(&data); err != nil {
			return err
		}
		m["data"], rest = data, rest[d.InputOffset():]
	}
	var name string
	for option := range strings.FieldsSeq(rest) {
		if paths, ok := strings.CutPrefix(option, "append="); ok {
			m["append"] = strings.Split(paths, ",")
		} else if name, ok = strings.CutPrefix(option, "as="); !ok {
			return fmt.Errorf("unknown option %q", option)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	seq, err := r.node.Mutate(ctx, string(text))
	if name != "" {
		slot, _, _ := strings.Cut(seq, ":")
		r.names[name], r.names["slot "+name] = seq, slot
	}
	return err
}

// define reads the definition of a view.
func (r *runner) define(ctx context.Context, definition string) error {
	answer, err := r.node.DoSigned(ctx, "POST", "/apps/"+testkit.AppID+"/views", definition)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("answered with %d %s", answer.Status, answer.Body)
	}
	return err
}

// token reads "NAME CLAIMS [by=KEY] [header=JSON]". A claim that is null is left out.
func (r *runner) token(rest string) error {
	name, rest := word(rest)
	claims, rest, err := value(rest)
	if err != nil {
		return err
	}
	key, header := testkit.K1(), ""
	for option := range strings.FieldsSeq(rest) {
		if text, ok := strings.CutPrefix(option, "header="); ok {
			header = text
		} else if option == "by=K2" {
			key = testkit.K2()
		} else {
			return fmt.Errorf("unknown option %q", option)
		}
	}
	members, ok := claims.(map[string]any)
	if !ok {
		return errors.New("claims are an object")
	}
	text, expires, err := testkit.SessionToken(key, header, members)
	r.names[name], r.names["exp "+name] = text, strconv.FormatInt(expires, 10)
	return err
}

// answered is the text or the number at a path of the last answer, such as items.0.serial.
func (r *runner) answered(path string) (string, error) {
	if r.answer == nil {
		return "", errors.New("there is no answer to look at")
	}
	var at any
	if err := decode(r.answer.Body, &at); err != nil {
		return "", err
	}
	for step := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return "", fmt.Errorf("the answer has nothing at %q", path)
			}
			at = v[i]
		}
	}
	switch v := at.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", fmt.Errorf("the answer has no text and no number at %q", path)
}

// keep reads "NAME PATH".
func (r *runner) keep(rest string) (err error) {
	name, path := word(rest)
	r.names[name], err = r.answered(path)
	return err
}

// setHeader reads "NAME: VALUE".
func (r *runner) setHeader(rest string) error {
	rest, err := r.expand(rest)
	if err != nil {
		return err
	}
	name, value, _ := strings.Cut(rest, ":")
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Add(name, strings.TrimSpace(value))
	return nil
}

// takeHeader is what was set for one connection or request.
func (r *runner) takeHeader() http.Header {
	header := r.header
	if r.header = nil; header == nil {
		header = http.Header{}
	}
	return header
}
