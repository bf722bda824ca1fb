// Program alloy-syntax checks that files parse as Alloy's configuration language and are formatted as `alloy fmt` does.
//
// Alloy itself cannot be built from the Go module registry, but the module that reads its configuration can.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/grafana/alloy/syntax/diag"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/printer"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: alloy-syntax FILE…")
		os.Exit(2)
	}
	failed := false
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(path, content)
	if diagnostics := (diag.Diagnostics{}); errors.As(err, &diagnostics) {
		var text bytes.Buffer
		if err := diag.Fprint(&text, map[string][]byte{path: content}, diagnostics); err != nil {
			return err
		}
		return errors.New(text.String())
	}
	if err != nil {
		return err
	}
	var formatted bytes.Buffer
	if err := printer.Fprint(&formatted, file); err != nil {
		return err
	}
	// `alloy fmt` ends the file with a newline, which the printer leaves out.
	formatted.WriteByte('\n')
	if line, differs := firstDifference(content, formatted.Bytes()); differs {
		return fmt.Errorf("%s:%d: not formatted as `alloy fmt` does", path, line)
	}
	return nil
}

// firstDifference returns the number of the first line that is not the same in both.
func firstDifference(have, want []byte) (int, bool) {
	if bytes.Equal(have, want) {
		return 0, false
	}
	haveLines, wantLines := bytes.Split(have, []byte("\n")), bytes.Split(want, []byte("\n"))
	for number, line := range wantLines {
		if number >= len(haveLines) || !bytes.Equal(haveLines[number], line) {
			return number + 1, true
		}
	}
	return len(wantLines), true
}
