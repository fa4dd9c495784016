package server

import (
	"net/http"

	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/memory"
)

// stats serves numbers about this node.
func (s *Server) stats() http.Handler {
	o := operators.StatsOptions{
		Apps:     s.apps.All,
		Channels: s.channels,
		Connections: func(appID string) operators.Count {
			signedIn, users := s.channels.SignedIn(appID)
			return operators.Count{Open: s.sessions.Open(appID), Authenticated: signedIn, Users: users}
		},
		Memory: func() operators.Memory {
			total, free := memory.OfMachine()
			return operators.Memory{Total: total, Free: free}
		},
	}
	if s.cfg.Views.Enabled {
		o.Views = s.views
	}
	if s.history != nil {
		o.History = s.history
	}
	return operators.NewStats(o)
}
