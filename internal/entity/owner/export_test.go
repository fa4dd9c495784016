package owner

import "github.com/millrace/millrace/internal/entity"

// Merged is what the decider makes of an entity and a patch, both without cursor: what is
// stored, and the patch as clients get it. It starts nothing, so that fuzzing can repeat what
// it has found.
func Merged(o Options, stored, patch []byte, paths []string) (data, live []byte, err error) {
	o = o.withDefaults()
	p := preparer{o: &o}
	err = p.prepare(&entity.Batch{Mutations: []entity.Mutation{
		{Type: "T", Op: entity.OpUpsert, Data: stored},
		{Type: "T", Data: patch, Append: paths},
	}})
	if err != nil {
		return nil, nil, err
	}
	old, m := p.mutations[0].data, &p.mutations[1]
	merger := merger{maxArray: o.MaxArray}
	data = merger.merge(p.text[old.from:old.to-1], &p.pending, m)
	return append(data, '}'), p.text[m.live.from:m.live.to], nil
}

// Record makes e call fn with all that it has decided and stored, before it is installed.
func (e *Owner) Record(fn func(*entity.Decisions)) {
	install := e.applier.install
	e.applier.install = func(d *entity.Decisions, r entity.Receiver) error {
		fn(d)
		return install(d, r)
	}
}

// Drafts is about how many types the engine remembers something.
func (e *Owner) Drafts() int { return len(e.applier.decider.drafts) }
