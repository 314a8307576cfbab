package rest

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestScraperThatLeavesIsNoError holds what the log says of a scrape that was not answered in full.
func TestScraperThatLeavesIsNoError(t *testing.T) {
	var out bytes.Buffer
	log := scrapeLog{slog.New(slog.NewTextHandler(&out, nil))}
	left := &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}
	if log.Println("error encoding and sending metric family:", left); out.Len() > 0 {
		t.Errorf("a scraper left, and the log says %s", &out)
	}
	log.Println("error gathering metrics:", errors.New("no state"))
	if said := out.String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "no state") {
		t.Errorf("metrics could not be gathered, and the log says %q", said)
	}
}
