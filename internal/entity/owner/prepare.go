package owner

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/jsonscan"
)

// span is a part of pending.text.
type span struct{ from, to int32 }

// field is a member of an object in a patch. Members inside arrays have none: nothing is
// merged there.
type field struct {
	key      span // as it is written, quotes included
	value    span // follows key and a colon
	next     int32
	child    int32 // the first member of an object; 0: none
	count    int32 // of members or elements
	kind     jsonscan.Kind
	isAppend bool
	isMerged bool // the merger's
}

// prepared is a mutation whose data has been checked and made canonical: compact, keys
// spelled one way and once, no _seq, arrays cut.
type prepared struct {
	kind, key string
	op        entity.Op
	append    []string
	data      span
	live      span  // OpPatch: uncut and in wire form, otherwise the same as data
	first     int32 // OpPatch: the fields of data; 0: none
	count     int32
	isWire    bool // data has no number that IsBig
}

// mutationCost is what a mutation counts in Options.MaxWaiting beside its data and key.
const mutationCost = 256

// tailRoom is left free behind each live form, whose bracket gives way to its cursor.
const tailRoom = len(`,`) + entity.MaxTail

// pending is a batch on its way through the applier. The caller of Apply makes it and, until
// its ticket is answered, reads nothing of it.
type pending struct {
	app, idempotencyKey string
	mutations           []prepared
	text                []byte  // lives on in changes
	fields              []field // the first stands for none
	size                int     // as it counts in Options.MaxWaiting

	ticket   *commit.Ticket
	seq      entity.Seq
	refusal  *entity.Error // the problem with the batch itself; nil: there is none
	isRepeat bool          // an earlier batch was the same; seq is the earlier batch's
	group    uint64        // isRepeat: in which that one was applied
}

// preparer copies the documents of a batch to pending.text, token by token. It recurses to
// Options.MaxDepth at most. It is used again for other batches.
type preparer struct {
	pending
	o       *Options
	scan    jsonscan.Scanner
	problem string // the first that was found

	appends  []string // of the mutation
	path     []byte   // of the member that is read, names joined by dots
	notArray string   // one of appends whose value is none

	keys     []span  // of the objects that are open
	elements []int32 // where the elements of the arrays that are open begin

	isLive                  bool // the copy is for subscribers
	hasBig, hasLong, hasTwo bool // a number that IsBig, an array that is cut, equal keys
}

// prepare checks everything of b that can be judged without the state.
//
//millrace:hot BenchmarkApply TestApplyAllocs
func (p *preparer) prepare(b *entity.Batch) error {
	if err := p.o.checkBatch(b); err != nil {
		return err
	}
	p.pending = pending{
		app: b.App, idempotencyKey: b.IdempotencyKey, ticket: p.ticket,
		mutations: slices.Grow(p.mutations[:0], len(b.Mutations))[:len(b.Mutations)],
		fields:    append(p.fields[:0], field{}),
	}
	size := 0
	for i := range b.Mutations {
		size += len(b.Mutations[i].Data) + tailRoom
	}
	p.text = make([]byte, 0, size)
	for i := range b.Mutations {
		p.problem = p.o.check(&b.Mutations[i])
		if p.problem == "" {
			p.mutation(&p.mutations[i], &b.Mutations[i])
		}
		if p.problem != "" {
			return &entity.Error{Index: i, Message: p.problem}
		}
		p.size += len(b.Mutations[i].Key) + mutationCost
	}
	p.size += len(p.text)
	return nil
}

// reset drops what p refers to, and what is so large that it would be a waste to keep.
func (p *preparer) reset() {
	const keep = 8192 // entries
	clear(p.mutations)
	p.text, p.appends, p.scan = nil, nil, jsonscan.Scanner{}
	if max(cap(p.mutations), cap(p.fields), cap(p.keys), cap(p.elements), cap(p.path)) > keep {
		*p = preparer{o: p.o, pending: pending{ticket: p.ticket}}
	}
}

// mutation prepares one, or leaves problem saying what is wrong with it.
func (p *preparer) mutation(to *prepared, m *entity.Mutation) {
	*to = prepared{kind: m.Type, key: m.Key, op: m.Op}
	if m.Op == entity.OpDelete {
		return
	}
	v, ok := jsonscan.Value(m.Data), m.IsParsed
	if !ok {
		v, ok = jsonscan.Parse(m.Data)
	}
	switch {
	case !ok && isDeeper(m.Data, p.o.MaxDepth):
		p.fail(p.tooDeep())
		return
	case !ok:
		p.fail("data is not valid JSON")
		return
	case v.Kind() != jsonscan.Object:
		p.fail("data must be a JSON object")
		return
	}
	p.appends = nil
	if m.Op == entity.OpPatch && len(m.Append) > 0 {
		p.appends, to.append = m.Append, m.Append
	}
	p.documents(to, v)
	if p.notArray != "" {
		p.fail(fmt.Sprintf("append path %q: its value in data is not an array", p.notArray))
	}
	if max(to.data.to-to.data.from, to.live.to-to.live.from) > int32(p.o.MaxSize) {
		p.fail(p.o.tooLarge())
	}
	p.text = append(p.text, make([]byte, tailRoom)...)
}

// documents makes both forms of v.
func (p *preparer) documents(to *prepared, v jsonscan.Value) {
	p.hasBig, p.hasLong, p.hasTwo = false, false, false
	start, fields := len(p.text), len(p.fields)
	to.first, to.count = p.document(v)
	if p.hasTwo && p.problem == "" {
		p.text, p.fields = p.text[:start], p.fields[:fields]
		v = lastOfEqual(v)
		to.first, to.count = p.document(v)
	}
	to.data = span{int32(start), int32(len(p.text))}
	to.live, to.isWire = to.data, !p.hasBig
	if to.op == entity.OpPatch && (p.hasBig || p.hasLong) {
		p.isLive = true
		p.document(v)
		p.isLive = false
		to.live = span{to.data.to, int32(len(p.text))}
	}
}

func (p *preparer) tooDeep() string {
	return fmt.Sprintf("data is nested more than %d deep", p.o.MaxDepth)
}

func (o *Options) tooLarge() string {
	return fmt.Sprintf("the entity would be larger than %d bytes", o.MaxSize)
}

func (p *preparer) document(v jsonscan.Value) (first, count int32) {
	p.scan = v.Scan()
	p.scan.Token()
	p.path = p.path[:0]
	if !p.isLive {
		p.notArray = ""
	}
	return p.object(1, true)
}

// object copies the object that was entered. isMerged: it gets fields.
func (p *preparer) object(depth int, isMerged bool) (first, count int32) {
	p.text = append(p.text, '{')
	if depth > p.o.MaxDepth {
		p.fail(p.tooDeep())
		return 0, 0
	}
	isMerged = isMerged && !p.isLive
	base, last := len(p.keys), int32(0)
	for key := p.scan.Token(); key[0] != '}' && p.problem == ""; key = p.scan.Token() {
		if depth == 1 && isSeq(key) {
			p.scan.Skip() // the engine sets it
			continue
		}
		if p.text[len(p.text)-1] != '{' {
			p.text = append(p.text, ',')
		}
		f := field{key: p.key(key)}
		p.keys = append(p.keys, f.key)
		p.text = append(p.text, ':')
		if !isMerged {
			p.value(&f, p.scan.Token(), depth, false)
			continue
		}
		index := int32(len(p.fields))
		p.fields = append(p.fields, f)
		p.member(index, depth)
		if count++; first == 0 {
			first = index
		} else {
			p.fields[last].next = index
		}
		last = index
	}
	p.text = append(p.text, '}')
	p.hasTwo = p.hasTwo || p.hasEqual(p.keys[base:])
	p.keys = p.keys[:base]
	return first, count
}

// member copies the value of a field and finds out whether it is to be appended.
func (p *preparer) member(index int32, depth int) {
	f := p.fields[index]
	outer := len(p.path)
	if len(p.appends) > 0 {
		if depth > 1 {
			p.path = append(p.path, '.')
		}
		p.path = appendText(p.path, p.text[f.key.from:f.key.to])
	}
	p.value(&f, p.scan.Token(), depth, true)
	for _, path := range p.appends {
		if path != string(p.path) {
			continue
		}
		if f.isAppend = true; f.kind != jsonscan.Array {
			p.notArray = path
		}
	}
	p.fields[index], p.path = f, p.path[:outer]
}

// value copies the value that begins with token into f.
func (p *preparer) value(f *field, token jsonscan.Value, depth int, isMerged bool) {
	f.value.from = int32(len(p.text))
	switch f.kind = token.Kind(); f.kind {
	case jsonscan.Object:
		f.child, f.count = p.object(depth+1, isMerged)
	case jsonscan.Array:
		f.count = p.array(depth + 1)
	case jsonscan.Number:
		p.number(token)
	default:
		p.text = append(p.text, token...)
	}
	f.value.to = int32(len(p.text))
}

func (p *preparer) number(token []byte) {
	isBig := entity.IsBig(token)
	if p.hasBig = p.hasBig || isBig; isBig && p.isLive {
		p.text = append(append(append(p.text, '"'), token...), '"')
		return
	}
	p.text = append(p.text, token...)
}

// array copies the array that was entered and, unless it is for subscribers, keeps the newest
// elements only (views 5.6).
func (p *preparer) array(depth int) (count int32) {
	p.text = append(p.text, '[')
	if depth > p.o.MaxDepth {
		p.fail(p.tooDeep())
		return 0
	}
	base := len(p.elements)
	for token := p.scan.Token(); token[0] != ']' && p.problem == ""; token = p.scan.Token() {
		if len(p.elements) > base {
			p.text = append(p.text, ',')
		}
		p.elements = append(p.elements, int32(len(p.text)))
		p.value(new(field), token, depth, false)
	}
	size := len(p.elements) - base
	if surplus := size - p.o.MaxArray; surplus > 0 {
		p.hasLong = true
		if !p.isLive {
			first, kept := p.elements[base], p.elements[base+surplus]
			p.text = append(p.text[:first], p.text[kept:]...)
			size = p.o.MaxArray
		}
	}
	p.elements = p.elements[:base]
	p.text = append(p.text, ']')
	return int32(size)
}

func (p *preparer) fail(problem string) {
	if p.problem == "" {
		p.problem = problem
	}
}

// key copies the key of a member in its one spelling, so that equal keys are equal bytes.
func (p *preparer) key(key jsonscan.Value) span {
	from := int32(len(p.text))
	p.text = appendKey(p.text, key)
	return span{from, int32(len(p.text))}
}

func appendKey(dst []byte, key jsonscan.Value) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return append(dst, key...)
	}
	return jsonscan.AppendString(dst, key.Text())
}

// appendText appends the text that a string means.
func appendText(dst []byte, s jsonscan.Value) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return append(dst, s[1:len(s)-1]...)
	}
	return append(dst, s.Text()...)
}

func isSeq(key jsonscan.Value) bool { return key.Means("_seq") }
