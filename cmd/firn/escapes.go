package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// escapes are the letters that may stand behind a backslash in a flag.
var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '0': 0, '\\': '\\'}

// unescape reads a text in which \n, \t, \r, \0, \xHH and \\ stand for bytes.
func unescape(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i < len(text) && text[i] == 'x' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		if i == len(text) {
			return "", fmt.Errorf("a backslash ends it; write \\\\ for one")
		}
		c, known := escapes[text[i]]
		if !known {
			return "", fmt.Errorf("\\%c is none of \\n, \\t, \\r, \\0, \\xHH and \\\\", text[i])
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// printable is a name that strangers chose, as a terminal may have it: what controls one is
// escaped.
func printable(name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return name
	}
	quoted := strconv.Quote(name)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
