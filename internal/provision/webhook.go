package provision

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/webhook"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// WebhookOptions returns what [webhooks] says, which counts where the webhook of an app says nothing.
func WebhookOptions(c *config.Webhooks) outbox.Options {
	return outbox.Options{
		Grace: c.Grace.D(), UserGrace: c.UserGrace.D(), StartGrace: c.StartGrace.D(), VacateAtShutdown: c.VacateAtShutdown,
		Retry: app.WebhookRetry{
			Enabled: position(c.Retry), MaxAttempts: c.MaxAttempts, MaxElapsed: c.MaxElapsed.D(),
			InitialBackoff: c.InitialBackoff.D(), MaxBackoff: c.MaxBackoff.D(),
		},
		Batching:       app.WebhookBatching{Enabled: position(c.Batching), Duration: c.BatchDuration.D(), Size: c.BatchSize},
		RequestTimeout: c.RequestTimeout.D(),
		MaxRequests:    c.MaxRequests,
		MaxSubjects:    c.MaxSubjects,
		MaxPending:     int(c.MaxPending), MaxPendingTotal: int(c.MaxPendingTotal),
		MaxDead: c.MaxDead, MaxDeadBytes: int(c.MaxDeadSize), DeadTTL: c.DeadTTL.D(),
	}
}

// position returns a switch of a node as the switch of a webhook.
func position(isOn bool) app.Switch {
	if isOn {
		return app.SwitchOn
	}
	return app.SwitchOff
}

// webhooks converts the webhooks of an app to the form of package webhook.
func webhooks(list []config.Webhook) []app.Webhook {
	var all []app.Webhook
	for i := range list {
		c := &list[i]
		all = append(all, app.Webhook{
			ID:         cmp.Or(c.ID, strconv.Itoa(i+1)),
			URL:        c.URL,
			EventTypes: c.EventTypes,
			Filter: app.WebhookFilter{
				ChannelPrefix: c.ChannelPrefix, ChannelSuffix: c.ChannelSuffix,
				ChannelPattern: c.ChannelPattern, Namespaces: c.ChannelNamespaces,
				Exclude: c.ChannelExclude,
			},
			Headers: webhookHeaders(c.Headers),
			Retry: app.WebhookRetry{
				Enabled: app.Switch(c.Retry), MaxAttempts: c.MaxAttempts, MaxElapsed: c.MaxElapsed.D(),
				InitialBackoff: c.InitialBackoff.D(), MaxBackoff: c.MaxBackoff.D(),
			},
			Batching: app.WebhookBatching{
				Enabled: app.Switch(c.Batching), Duration: c.BatchDuration.D(), Size: c.BatchSize,
			},
			RequestTimeout: c.RequestTimeout.D(),
		})
	}
	return all
}

// webhookHeaders reads "name: value" texts.
func webhookHeaders(list []config.Secret) map[string]string {
	if len(list) == 0 {
		return nil
	}
	headers := make(map[string]string, len(list))
	for _, text := range list {
		name, value, _ := strings.Cut(text.Reveal(), ":")
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return headers
}

// checkWebhooks finds what package webhook does not take.
func checkWebhooks(at string, c *config.App) []config.Problem {
	var problems []config.Problem
	all, seen := webhooks(c.Webhooks), map[string]int{}
	for i := range all {
		at := fmt.Sprintf("%swebhooks[%d].", at, i)
		for _, p := range webhook.Validate(&all[i]) {
			problems = append(problems, config.Problem{Path: at + webhookKey(p.Field), Message: p.Message})
		}
		if first, taken := seen[all[i].ID]; taken {
			problems = append(problems, config.Problem{
				Path: at + "id", Value: strconv.Quote(all[i].ID),
				Message: fmt.Sprintf("webhooks[%d] has the same; it must be unique within the app", first),
			})
			continue
		}
		seen[all[i].ID] = i
	}
	return problems
}

// webhookKey returns the key that sets a field of app.Webhook.
func webhookKey(field string) string {
	switch field {
	case "Filter.Namespaces":
		return "channel_namespaces"
	case "Filter.Exclude":
		return "channel_exclude"
	case "Retry.Enabled":
		return "retry"
	case "Batching.Enabled":
		return "batching"
	case "Batching.Duration":
		return "batch_duration"
	case "Batching.Size":
		return "batch_size"
	}
	fields := strings.Split(field, ".")
	return configKey(fields[len(fields)-1])
}
