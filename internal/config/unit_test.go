package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
)

func TestUnitsPrintAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		config.Size(0).String():                         "0B",
		config.Size(1000).String():                      "1000B",
		(64 * config.KB).String():                       "64KB",
		(1024 * config.KB).String():                     "1MB",
		(10 * config.MB).String():                       "10MB",
		config.GB.String():                              "1GB",
		config.DiskSize(0).String():                     "0B",
		config.DiskSize(100 * config.GB).String():       "100GB",
		(3 * config.TB).String():                        "3TB",
		config.Duration(30 * time.Second).String():      "30s",
		config.Duration(120 * time.Second).String():     "2m",
		config.Duration(90 * time.Second).String():      "1m30s",
		config.Duration(30 * time.Minute).String():      "30m",
		config.Duration(2 * time.Hour).String():         "2h",
		config.Duration(20 * time.Millisecond).String(): "20ms",
		config.Duration(0).String():                     "0s",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	c := config.Development()
	secret := c.Apps[0].Secret.Reveal()
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "secret", c.Apps[0].Secret, "app", c.Apps[0])
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", c.Apps), "%+v": fmt.Sprintf("%+v", c.Apps), "%#v": fmt.Sprintf("%#v", c.Apps),
		"String": c.Apps[0].Secret.String(), "%q": fmt.Sprintf("%q", c.Apps[0].Secret),
		"json": string(encoded), "slog": logged.String(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s prints the secret: %s", name, text)
		}
	}
}

func TestStaticTokensHaveLabels(t *testing.T) {
	t.Parallel()
	for text, want := range map[config.Secret][2]string{
		"phone:s3cret:x": {"phone", "s3cret:x"}, "bare": {"", "bare"}, ":x": {"", "x"}, "": {"", ""},
	} {
		if label, token := text.Labelled(); [2]string{label, token.Reveal()} != want {
			t.Errorf("%q: got %q, %q, want %q", text.Reveal(), label, token.Reveal(), want)
		}
	}
}

func TestDiskSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.DiskSize{
		"0B": 0, "64KB": 64 << 10, "100GB": 100 << 30, "2 TB": 2 << 40, "1024TB": 1 << 50,
		"1025TB": -1, "1048577GB": -1, "TB": -1, "1.5GB": -1, "-1GB": -1, "3": -1, "3GBTB": -1,
	} {
		got, err := config.ParseDiskSize(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}
