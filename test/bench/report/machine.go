package report

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is where and with what a report was made.
type Machine struct {
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	Memory     string `json:"memory"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
}

func thisMachine(commit string) Machine {
	m := Machine{
		Processor: "unknown", Processors: runtime.NumCPU(), Memory: "unknown", Kernel: runtime.GOOS,
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, Commit: commit,
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel += " " + strings.TrimSpace(string(text))
	}
	if v, ok := procField("/proc/cpuinfo", "model name"); ok {
		m.Processor = v
	}
	if v, ok := procField("/proc/meminfo", "MemTotal"); ok {
		m.Memory = v
	}
	if m.Commit == "" {
		m.Commit = stampedCommit()
	}
	return m
}

// procField is the first value of a file with lines such as "name : value".
func procField(file, name string) (string, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

func stampedCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	commit, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", with changes that are not committed"
		}
	}
	return commit + changed
}

// fileSystem is the type of the file system that a directory is on: a store in memory would
// look fast.
func fileSystem(dir, mounts string) string {
	name, longest := "unknown", 0
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < longest {
			continue
		}
		if dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/") {
			name, longest = f[2], len(f[1])
		}
	}
	return name
}
