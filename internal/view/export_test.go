package view

// Held is how many entity types the engine keeps something for.
func (e *Engine) Held() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.roots)
}
