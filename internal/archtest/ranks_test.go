package archtest

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageHasARank(t *testing.T) {
	t.Parallel()
	present := map[string]bool{}
	for _, s := range load(t) {
		present[s.dir] = true
	}
	for _, dir := range slices.Sorted(maps.Keys(present)) {
		_, ranked := ranks[dir]
		_, aside := beside[dir]
		if ranked == aside {
			t.Errorf("package %s: want it in exactly one of ranks and beside (law_test.go): a package without a rank may be imported by anything", dir)
		}
	}
	tables := map[string][]string{
		"ranks": slices.Collect(maps.Keys(ranks)), "beside": slices.Collect(maps.Keys(beside)),
		"spawns": slices.Collect(maps.Keys(spawns)), "pure": slices.Collect(maps.Keys(pure)),
	}
	for name, rows := range tables {
		for _, dir := range rows {
			if !present[dir] {
				t.Errorf("%s has a row for %s, which does not exist: delete the row, or the law describes another repository", name, dir)
			}
		}
	}
}

func TestImportsGoStrictlyDown(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		if _, aside := beside[s.dir]; aside {
			continue
		}
		for _, imported := range s.imports {
			to := local(imported)
			if reason, aside := beside[to]; aside {
				t.Errorf("%s imports %s, which only tests may import: it %s", s.path, to, reason)
			}
			rank, ok := ranks[to]
			if !ok || to == path.Dir(s.dir) {
				continue // not ours, or the parent whose contract this child implements
			}
			if from := ranks[s.dir]; rank >= from {
				t.Errorf("%s (rank %d) imports %s (rank %d): imports go strictly down; put the contract beside its consumer", s.path, from, to, rank)
			}
		}
	}
}

func TestRestrictedImports(t *testing.T) {
	t.Parallel()
	for target, r := range only {
		if _, ours := ranks[strings.TrimSuffix(target, "/...")]; !ours && strings.HasPrefix(target, "internal/") {
			t.Errorf("only has a row for %s, which does not exist: delete the row", target)
		}
		for _, importer := range r.importers {
			if _, ok := ranks[importer]; !ok {
				t.Errorf("only lets %s import %s, but there is no such package", importer, target)
			}
		}
	}
	for _, s := range code(t) {
		if _, aside := beside[s.dir]; aside {
			continue
		}
		for _, imported := range s.imports {
			for target, r := range only {
				if covers(target, local(imported)) && !slices.Contains(r.importers, s.dir) {
					t.Errorf("%s imports %s, which only %v may: %s", s.path, imported, r.importers, r.reason)
				}
			}
		}
	}
}

// covers reports whether a key of only speaks of an import path.
func covers(target, imported string) bool {
	if tree, ok := strings.CutSuffix(target, "/..."); ok {
		return strings.HasPrefix(imported+"/", tree+"/")
	}
	return imported == target
}

func TestPurePackages(t *testing.T) {
	t.Parallel()
	for _, s := range code(t) {
		p, ok := pure[s.dir]
		for _, imported := range s.imports {
			if ok && slices.Contains(p.importers, imported) {
				t.Errorf("%s imports %s: %s", s.path, imported, p.reason)
			}
			standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
			if rank, ranked := ranks[s.dir]; ranked && rank == 0 && !standard {
				t.Errorf("%s imports %s: rank 0 is the standard library only", s.path, imported)
			}
		}
	}
}
