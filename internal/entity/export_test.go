package entity

// Merged is what the applier makes of an entity and a patch, both without cursor: what is
// stored, and the patch as clients get it. It starts nothing, so that fuzzing can repeat what
// it has found.
func Merged(o Options, stored, patch []byte, paths []string) (data, live []byte, err error) {
	o = o.withDefaults()
	p := preparer{o: &o}
	err = p.prepare(&Batch{Mutations: []Mutation{
		{Type: "T", Op: OpUpsert, Data: stored},
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

// AppendWire is how versions get into wire form.
func AppendWire(dst, data []byte) []byte { return appendWire(dst, data) }

// Kept is how many types the engine keeps, hidden ones included.
func (e *Engine) Kept() int {
	e.types.mu.RLock()
	defer e.types.mu.RUnlock()
	return len(e.types.types)
}
