package fleet

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/cluster/sim/model"
	"github.com/millrace/millrace/internal/protocol"
)

// The names of topics say what they keep and whether webhooks tell of them.
const (
	markLog  = "log"
	markRing = "ring"
	markTold = "told"
)

// topics are the topics of a run.
func topics() (ts []protocol.Topic) {
	for _, name := range []string{
		"plain", "ring", "log", "log-told", "presence-plain", "presence-ring", "presence-told", "presence-log", "presence-log-told", "presence-ring-told",
	} {
		for i := range 3 {
			ts = append(ts, protocol.Topic{App: "app", Name: fmt.Sprintf("%s-%d", name, i)})
		}
	}
	return ts
}

func keeps(t *protocol.Topic) owner.Keeps {
	switch {
	case strings.Contains(t.Name, markLog):
		return owner.Log
	case strings.Contains(t.Name, markRing):
		return owner.Ring
	default:
		return owner.Nothing
	}
}

func tells(t *protocol.Topic) bool { return strings.Contains(t.Name, markTold) }

func keeping(t *protocol.Topic) model.Keeping {
	switch keeps(t) {
	case owner.Log:
		return model.KeepsLog
	case owner.Ring:
		return model.KeepsRing
	default:
		return model.KeepsNothing
	}
}

func hasMembers(t *protocol.Topic) bool { return strings.HasPrefix(t.Name, "presence-") }
