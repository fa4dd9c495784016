// Command millrace is the server and the tools around it; "millrace --help" lists them.
package main

import (
	"os"

	"github.com/millrace/millrace/internal/cli"
)

func main() { os.Exit(cli.Run()) }
