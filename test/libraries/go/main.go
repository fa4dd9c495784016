// Command library is a backend that uses the official Go server library and does what it is
// told: it reads lines of JSON, {"do":NAME,...}, and answers each with a line, {"result":...}
// or {"error":TEXT}. The suites of test/clients start it, so that what the library itself
// sends and parses is tried on the real server and with real clients.
//
// The flags say which app it is the backend of. It ends with its input.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/pusher/pusher-http-go/v5"
)

// maxLine bounds one instruction: a webhook holds up to a hundred events of 10 KB.
const maxLine = 8 << 20

func main() {
	b := &backend{}
	flag.StringVar(&b.client.Host, "host", "", "host and port of the server")
	flag.StringVar(&b.client.AppID, "app-id", "", "id of the app")
	flag.StringVar(&b.client.Key, "key", "", "key of the app")
	flag.StringVar(&b.client.Secret, "secret", "", "secret of the key")
	flag.StringVar(&b.client.EncryptionMasterKeyBase64, "master-key", "", "key of encrypted channels in base64; none if empty")
	flag.Parse()
	if err := b.serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// backend is the library, set up for one app.
type backend struct{ client pusher.Client }

// serve carries out what in says, one line after the other.
func (b *backend) serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		var answer struct {
			Result any    `json:"result"`
			Error  string `json:"error,omitempty"`
		}
		result, err := b.carryOut(lines.Bytes())
		answer.Result = result
		if err != nil {
			answer.Error = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
	}
	return lines.Err()
}
