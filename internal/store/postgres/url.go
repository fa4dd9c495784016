package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

const urlForm = "write it as postgres://user:password@host:5432/database"

// parseURL reads what is not in the URL from where the tools of PostgreSQL look for it, such as
// PGPASSWORD and ~/.pgpass. Its errors never contain a password.
func parseURL(text string) (*pgxpool.Config, error) {
	if text == "" {
		return nil, errors.New("the URL is missing; " + urlForm)
	}
	u, err := url.Parse(text)
	if err != nil { // which quotes the URL
		return nil, errors.New("the URL cannot be read; " + urlForm + ", with a % and two hexadecimal digits for each special character of the password")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the URL does not begin with postgres://; " + urlForm)
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil { // which keeps the URL as it was
		return nil, fmt.Errorf("the URL cannot be used: %s", scrub(err.Error(), u))
	}
	return config, nil
}

// scrub takes the secrets of u out of a text.
func scrub(text string, u *url.URL) string {
	secrets := append(u.Query()["password"], u.Query()["sslpassword"]...)
	if password, ok := u.User.Password(); ok {
		_, raw, _ := strings.Cut(u.User.String(), ":")
		secrets = append(secrets, raw, password)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, url.QueryEscape(secret), "***")
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
