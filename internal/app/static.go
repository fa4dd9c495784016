package app

import (
	"context"
	"errors"
	"fmt"
)

// Static is a registry of apps that are known from the start. It is immutable.
type Static struct {
	byKey, byID map[string]*App
}

var _ Registry = (*Static)(nil)

// NewStatic registers apps. The error joins everything wrong with them: what Validate
// finds, and keys or ids that two apps share.
func NewStatic(apps []*App) (*Static, error) {
	s := &Static{byKey: make(map[string]*App, len(apps)), byID: make(map[string]*App, len(apps))}
	var errs []error
	for i, a := range apps {
		for _, p := range Validate(a) {
			errs = append(errs, fmt.Errorf("app %d (%q): %s: %s", i, a.ID, p.Field, p.Message))
		}
		if _, taken := s.byID[a.ID]; taken {
			errs = append(errs, fmt.Errorf("app %d (%q): ID: another app has it", i, a.ID))
		}
		if _, taken := s.byKey[a.Key]; taken {
			errs = append(errs, fmt.Errorf("app %d (%q): Key: another app has it", i, a.ID))
		}
		s.byID[a.ID], s.byKey[a.Key] = a, a
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// ByKey finds an app by its key.
func (s *Static) ByKey(_ context.Context, key string) (*App, error) { return find(s.byKey, key) }

// ByID finds an app by its id.
func (s *Static) ByID(_ context.Context, id string) (*App, error) { return find(s.byID, id) }

// Len is the number of apps.
func (s *Static) Len() int { return len(s.byID) }

func find(apps map[string]*App, name string) (*App, error) {
	if a, ok := apps[name]; ok {
		return a, nil
	}
	return nil, ErrNotFound
}
