package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Probe asks the database whether a server could use it, and changes nothing there.
func Probe(ctx context.Context, url string) error {
	config, err := parseURL(url)
	if err != nil {
		return fmt.Errorf("postgres store: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return fmt.Errorf("postgres store: %w", explain(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it has answered, or does not
	if _, err := schemaVersion(ctx, conn); err != nil {
		return fmt.Errorf("postgres store: %w", explain(err))
	}
	return nil
}
