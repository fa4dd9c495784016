package httpapi

import (
	"context"

	"github.com/millrace/millrace/internal/webhook"
)

// Webhooks is what the API asks of the webhook engine; see [webhook.Engine].
type Webhooks interface {
	Status(appID string) []webhook.Status
	Dead(ctx context.Context, appID string, after uint64, limit int) ([]webhook.Letter, error)
	Replay(ctx context.Context, appID string, s webhook.Selection) (int, error)
	Discard(ctx context.Context, appID string, s webhook.Selection) (int, error)
	Online(appID string) (users []string, seq uint64)
}

var _ Webhooks = (*webhook.Engine)(nil)
