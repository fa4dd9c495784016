package embedded_test

import (
	"testing"

	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/internal/store/storetest"
	"github.com/millrace/millrace/internal/webhook"
)

func TestWebhookConformance(t *testing.T) {
	t.Parallel()
	storetest.RunWebhooks(t, suite(func(s *embedded.Store) webhook.Store { return s }))
}
