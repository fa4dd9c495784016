package provision

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/appdoc"
	"github.com/millrace/millrace/internal/config/foreign"
	"github.com/millrace/millrace/internal/config/rules"
	"github.com/millrace/millrace/internal/directory"
)

// Parser reads documents of stored apps by the rules for the apps of the file that cfg is, and with its
// limits where they have none.
func (m *Maker) Parser(cfg *config.Config) directory.Parse {
	return func(document []byte) (directory.Parsed, []directory.Problem) { return m.parse(cfg, document) }
}

// IsReadAlike reports whether documents mean the same under a and b.
func IsReadAlike(a, b *config.Config) bool {
	return a.AppDefaults == b.AppDefaults && a.HTTP.MaxBody == b.HTTP.MaxBody
}

func (m *Maker) parse(cfg *config.Config, document []byte) (directory.Parsed, []directory.Problem) {
	c, problems := appdoc.Parse(document, &cfg.AppDefaults)
	if len(problems) == 0 {
		problems = checkApp("", c)
		if c.MaxEventPayload > cfg.HTTP.MaxBody {
			problems = append(problems, config.Problem{
				Path: "max_event_payload", Value: strconv.Quote(c.MaxEventPayload.String()),
				Message: fmt.Sprintf("exceeds http.max_body = %q of the configuration", cfg.HTTP.MaxBody),
			})
		}
		if c.History && cfg.Store.Driver != "embedded" {
			problems = append(problems, config.Problem{Path: "history", Value: "true", Message: rules.NeedsStore})
		}
		if c.Recovery && cfg.Store.Driver != "embedded" {
			problems = append(problems, config.Problem{Path: "recovery", Value: "true", Message: rules.NeedsStore})
		}
	}
	if len(problems) > 0 {
		return directory.Parsed{}, directoryProblems(problems)
	}
	p, err := m.app(c)
	if err != nil { // checkApp has looked
		return directory.Parsed{}, []directory.Problem{{Path: "document", Message: err.Error()}}
	}
	return p, nil
}

func directoryProblems(problems []config.Problem) []directory.Problem {
	list := make([]directory.Problem, len(problems))
	for i, p := range problems {
		list[i] = directory.Problem{Path: p.Path, Value: p.Value, Message: p.Message}
	}
	return list
}

// Import reads the apps of other servers as documents of apps.
func Import(document []byte) ([][]byte, []directory.Problem) {
	list, problems := foreign.Apps(document)
	if list == nil {
		return nil, directoryProblems(problems)
	}
	documents := make([][]byte, len(list))
	for i := range list {
		documents[i] = appdoc.Write(&list[i], true)
	}
	return documents, directoryProblems(problems)
}
