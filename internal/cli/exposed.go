package cli

import (
	"bytes"
	"os"
	"runtime"

	"github.com/millrace/millrace/internal/config"
)

// exposed is the advice about a configuration file that every user of the machine can read and that has
// secrets in it, none if it has none: they may come from the environment.
func exposed(path string, cfg *config.Config) []config.Problem {
	info, err := os.Stat(path)
	if err != nil || cfg.IsDevelopment() || runtime.GOOS == "windows" || info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for _, s := range secretsOf(cfg) {
		if s != "" && bytes.Contains(text, []byte(s.Reveal())) {
			return []config.Problem{{
				Path:    path,
				Message: "has secrets, and every user of this machine can read it; run \"chmod 600\" on it if the server's user owns it, or move the secrets to the environment of the server",
			}}
		}
	}
	return nil
}

// secretsOf lists what signs, and what lets in.
func secretsOf(cfg *config.Config) []config.Secret {
	list := []config.Secret{cfg.Admin.Secret}
	for i := range cfg.Apps {
		a := &cfg.Apps[i]
		list = append(list, a.Secret, a.Views.SigningKey)
		for _, k := range a.Keys {
			list = append(list, k.Secret)
		}
		for _, s := range a.Views.Secrets() {
			list = append(list, s.Secret)
		}
	}
	return list
}
