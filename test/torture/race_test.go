//go:build race

package main

// buildFlags has the server look for races too, when the tests do.
var buildFlags = []string{"-race"}
