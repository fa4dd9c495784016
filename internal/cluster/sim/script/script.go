package script

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
)

// Op is one operation of a run: a fault, or whatever the test makes of its verb. Fields that are zero are not printed.
type Op struct {
	Wait   time.Duration // since the operation before
	Verb   string        // a word
	Node   cluster.NodeID
	Other  cluster.NodeID
	For    time.Duration
	Number uint64
	Text   string
}

// String is the operation in one line: "+3ms cut b c for=200ms number=7 text=\"a b\"".
func (o Op) String() string {
	b := []byte("+" + o.Wait.String() + " " + o.Verb)
	for _, id := range [...]cluster.NodeID{o.Node, o.Other} {
		if id != "" {
			b = append(append(b, ' '), id...)
		}
	}
	if o.For != 0 {
		b = append(b, " for="+o.For.String()...)
	}
	if o.Number != 0 {
		b = strconv.AppendUint(append(b, " number="...), o.Number, 10)
	}
	if o.Text != "" {
		b = strconv.AppendQuote(append(b, " text="...), o.Text)
	}
	return string(b)
}

// ParseOp reads what [Op.String] prints.
func ParseOp(line string) (Op, error) {
	var o Op
	rest, text, hasText := strings.Cut(line, " text=")
	if hasText {
		var err error
		if o.Text, err = strconv.Unquote(strings.TrimSpace(text)); err != nil {
			return o, fmt.Errorf("operation %q: text: %w", line, err)
		}
	}
	words := strings.Fields(rest)
	if len(words) < 2 || !strings.HasPrefix(words[0], "+") {
		return o, fmt.Errorf("operation %q: want a time, as in +3ms, and a verb", line)
	}
	var err error
	if o.Wait, err = time.ParseDuration(words[0][1:]); err != nil {
		return o, fmt.Errorf("operation %q: %w", line, err)
	}
	o.Verb = words[1]
	for _, word := range words[2:] {
		if err := o.set(word); err != nil {
			return o, fmt.Errorf("operation %q: %w", line, err)
		}
	}
	return o, nil
}

// set sets the field that a word names.
func (o *Op) set(word string) (err error) {
	name, value, isNamed := strings.Cut(word, "=")
	switch {
	case isNamed && name == "for":
		o.For, err = time.ParseDuration(value)
	case isNamed && name == "number":
		o.Number, err = strconv.ParseUint(value, 10, 64)
	case isNamed:
		err = fmt.Errorf("no field %q: want for, number or text", name)
	case o.Node == "":
		o.Node = cluster.NodeID(word)
	case o.Other == "":
		o.Other = cluster.NodeID(word)
	default:
		err = fmt.Errorf("%q is too much: want two nodes at most", word)
	}
	return err
}

// Run is a run that can be kept and repeated.
type Run struct {
	Seed uint64
	Note string // what it has shown; may have several lines
	Ops  []Op
}

// String is the run as text: lines of the note behind #, the seed, one operation per line.
func (run *Run) String() string {
	var b strings.Builder
	if run.Note != "" {
		for line := range strings.SplitSeq(run.Note, "\n") {
			b.WriteString("# " + line + "\n")
		}
	}
	fmt.Fprintf(&b, "seed %d\n", run.Seed)
	for _, o := range run.Ops {
		b.WriteString(o.String() + "\n")
	}
	return b.String()
}

// Parse reads what [Run.String] prints. It skips empty lines.
func Parse(r io.Reader) (*Run, error) {
	run := &Run{}
	var notes []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		note, isNote := strings.CutPrefix(line, "#")
		seed, isSeed := strings.CutPrefix(line, "seed ")
		var err error
		switch {
		case line == "":
		case isNote:
			notes = append(notes, strings.TrimSpace(note))
		case isSeed:
			run.Seed, err = strconv.ParseUint(seed, 10, 64)
		default:
			var o Op
			o, err = ParseOp(line)
			run.Ops = append(run.Ops, o)
		}
		if err != nil {
			return nil, fmt.Errorf("script: %w", err)
		}
	}
	run.Note = strings.Join(notes, "\n")
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	return run, nil
}
