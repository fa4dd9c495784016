package appdoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/internal/config"
)

// maxDepth is how deep a document may be nested: more than any that means something.
const maxDepth = 16

// parseObject reads one JSON object into what the binder takes. Unlike encoding/json it
// refuses members that are repeated, of which one would be lost; nulls set nothing, so they
// are refused, too. The table is nil if the text is no object.
func parseObject(document []byte) (map[string]any, []config.Problem) {
	value, problems, err := ReadJSON(document, false)
	if err != nil {
		return nil, []config.Problem{{Path: "document", Message: "not JSON: " + err.Error()}}
	}
	table, ok := value.(map[string]any)
	if !ok {
		return nil, []config.Problem{{Path: "document", Message: "must be an object"}}
	}
	return table, problems
}

// ReadJSON reads one JSON text into what TOML would give: numbers become int64 if they are whole,
// float64 otherwise. Members that are there twice are problems, and so are nulls, unless keepNull lets
// them pass as if they were not there.
func ReadJSON(text []byte, keepNull bool) (any, []config.Problem, error) {
	r := jsonReader{decoder: json.NewDecoder(bytes.NewReader(text)), keepNull: keepNull}
	value, err := r.read()
	return value, r.problems, err
}

type jsonReader struct {
	decoder  *json.Decoder
	keepNull bool // nulls are left out, without a problem
	problems []config.Problem
}

func (p *jsonReader) read() (any, error) {
	p.decoder.UseNumber()
	value, err := p.value("", 0)
	if err != nil {
		return nil, plainError(err)
	}
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the value, at byte %d", p.decoder.InputOffset())
	}
	return value, nil
}

// plainError names the end of the text in words.
func plainError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

func (p *jsonReader) value(path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return p.object(path, depth)
		}
		return p.list(path, depth)
	case json.Number:
		if n, err := token.Int64(); err == nil {
			return n, nil
		}
		f, err := token.Float64()
		if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
			return int64(f), nil // JSON has one kind of number: 1.0 is 1
		}
		return f, err
	default: // string, bool or nil
		return token, nil
	}
}

func (p *jsonReader) object(path string, depth int) (any, error) {
	table := map[string]any{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string) // names of members are strings
		at := config.Join(path, key)
		value, err := p.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, ok := table[key]; ok {
			p.problems = append(p.problems, config.Problem{Path: at, Message: "is there twice"})
		}
		if value != nil {
			table[key] = value
		} else if !p.keepNull {
			p.problems = append(p.problems, config.Problem{Path: at, Value: "null", Message: "means nothing; leave the key out"})
		}
	}
	_, err := p.decoder.Token()
	return table, err
}

func (p *jsonReader) list(path string, depth int) (any, error) {
	list := []any{}
	for p.decoder.More() {
		value, err := p.value(fmt.Sprintf("%s[%d]", path, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := p.decoder.Token()
	return list, err
}
