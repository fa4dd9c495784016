package session

// Open is how many connections of an app count against its quota at this moment.
func (r *Table) Open(appID string) int {
	r.mu.Lock()
	q := r.quotas[appID]
	r.mu.Unlock()
	if q == nil {
		return 0
	}
	return q.Used()
}
