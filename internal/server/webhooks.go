package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/webhook"
)

// webhooks are those of an app as package webhook takes them.
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

// webhookKey is the key that sets a field of app.Webhook.
func webhookKey(field string) string {
	switch field {
	case "Filter.Namespaces":
		return "channel_namespaces"
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

// credentials are the further keys of an app.
func credentials(keys []config.AppKey) []app.Credential {
	var all []app.Credential
	for _, k := range keys {
		all = append(all, app.Credential{Key: k.Key, Secret: k.Secret.Reveal(), Rights: app.Rights(k.Rights)})
	}
	return slices.Clip(all)
}
