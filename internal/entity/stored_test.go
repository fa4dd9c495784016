package entity_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/entity"
)

// versionAt is data of a version.
func versionAt(body string, s entity.Seq) []byte { return s.AppendTail([]byte(body)) }

// storedDecisions are decisions of each form.
func storedDecisions() []entity.Decisions {
	first, second := entity.Seq{Slot: 7, Index: 5_000_001}, entity.Seq{Slot: 9, Index: 5_000_002}
	return []entity.Decisions{
		{App: "app", Type: "Game", After: 3, List: []entity.Decision{
			{Op: entity.OpUpsert, IsWire: true, Key: "a", Data: versionAt(`{"x":1,`, first), Seq: first, Number: 4},
			{Op: entity.OpPatch, IsSuperseded: true, Key: "", Data: versionAt(`{`, first), Patch: versionAt(`{"y":[2],`, first), Append: []string{"y", "z.a"}, Seq: first, Number: 6, Replaces: 2},
			{Op: entity.OpDelete, Key: "b", Seq: second, Number: 300, Replaces: 1},
		}},
		{App: "app", Type: "Player", After: 12, Forgotten: entity.Tombstone{Key: "gone", Seq: first, Number: 11}},
	}
}

func encode(all []entity.Decisions) (body []byte) {
	for i := range all {
		body = entity.AppendDecisions(body, &all[i])
	}
	return body
}

func TestDecisionsAreReadAsTheyWereStored(t *testing.T) {
	t.Parallel()
	want := storedDecisions()
	got, err := entity.DecodeDecisions("app", encode(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What was stored once must be read for ever.
func TestGoldenDecisions(t *testing.T) {
	t.Parallel()
	const want = "01" + "0447616d65" + "03" + "00" + "02" +
		"15" + "0161" + "07" + "c196b102" + "01" + "00" + "1f7b2278223a312c225f736571223a22373a303030303035303030303031227d" +
		"02" + "0162" + "09" + "c296b102" + "a602" + "01"
	d := storedDecisions()[0]
	d.List = []entity.Decision{d.List[0], d.List[2]}
	d.List[1].Number = 298
	got := hex.EncodeToString(entity.AppendDecisions(nil, &d))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDamagedDecisionsAreRefused(t *testing.T) {
	t.Parallel()
	s := entity.Seq{Slot: 7, Index: 5_000_001}
	upsert := func(change func(*entity.Decision)) []byte {
		d := entity.Decisions{Type: "Game", After: 3, List: []entity.Decision{{Op: entity.OpUpsert, Key: "a", Data: versionAt(`{`, s), Seq: s, Number: 4}}}
		change(&d.List[0])
		return entity.AppendDecisions(nil, &d)
	}
	for name, test := range map[string]struct {
		body []byte
		want error
	}{
		"a newer form":                        {[]byte{2}, entity.ErrNewer},
		"an unknown operation":                {upsert(func(d *entity.Decision) { d.Op = 3 }), entity.ErrNewer},
		"a type without a name":               {entity.AppendDecisions(nil, &entity.Decisions{}), entity.ErrDamaged},
		"a number that stays":                 {upsert(func(d *entity.Decision) { d.Number = 3 }), entity.ErrDamaged},
		"a change that is replaced by itself": {upsert(func(d *entity.Decision) { d.Replaces = 4 }), entity.ErrDamaged},
		"data at another position":            {upsert(func(d *entity.Decision) { d.Data = versionAt(`{`, entity.Seq{Slot: 8}) }), entity.ErrDamaged},
		"a deletion with data":                {upsert(func(d *entity.Decision) { d.Op = entity.OpDelete }), entity.ErrDamaged},
		"an entity without data":              {upsert(func(d *entity.Decision) { d.Data = nil }), entity.ErrDamaged},
		"what is cut off":                     {upsert(func(*entity.Decision) {})[:20], entity.ErrDamaged},
	} {
		if _, err := entity.DecodeDecisions("app", test.body); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func batch() *entity.Batch {
	return &entity.Batch{App: "app", Mutations: []entity.Mutation{
		{Type: "Game", Key: "a", Op: entity.OpPatch, Data: []byte(`{"x":[1]}`), Append: []string{"x"}},
		{Type: "Game", Key: "b", Op: entity.OpDelete, Data: []byte{}},
	}}
}

func TestBatchesAreReadAsTheyWereSent(t *testing.T) {
	t.Parallel()
	got, err := entity.DecodeBatch("app", entity.AppendBatch(nil, batch()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(batch(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzDecodeDecisions: whatever is accepted is stored again as the same bytes, and can be installed or is refused.
func FuzzDecodeDecisions(f *testing.F) {
	f.Add(encode(storedDecisions()))
	f.Add(encode(storedDecisions()[1:]))
	f.Fuzz(func(t *testing.T, body []byte) {
		all, err := entity.DecodeDecisions("app", body)
		if err != nil {
			if !errors.Is(err, entity.ErrNewer) && !errors.Is(err, entity.ErrDamaged) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if again := encode(all); !bytes.Equal(again, body) {
			t.Errorf("read %x, stored again as %x", body, again)
		}
		s := entity.NewState(nil)
		for i := range all {
			_ = s.Install(&all[i], new(listener))
		}
	})
}

type listener struct{ changes int }

func (l *listener) Changed(_ *entity.Type, changes []entity.Change) { l.changes += len(changes) }

// FuzzDecodeBatch: whatever is accepted is sent again as the same bytes.
func FuzzDecodeBatch(f *testing.F) {
	f.Add(entity.AppendBatch(nil, batch()))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := entity.DecodeBatch("app", body)
		if err != nil {
			return
		}
		if again := entity.AppendBatch(nil, b); !bytes.Equal(again, body) {
			t.Errorf("read %x, sent again as %x", body, again)
		}
	})
}
