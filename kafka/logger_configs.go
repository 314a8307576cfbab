package kafka

import (
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A node has one logger, Kafka's root. Its level can be set while the node runs, and is what
// --log-level says after a restart, as Kafka's levels are.

// rootLogger is the name of the logger, and so of its config.
const rootLogger = "root"

// loggerLevels are those of Kafka that slog has as well.
var loggerLevels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError,
}

// loggerConfigs are the configs of this node's loggers.
func (s *Server) loggerConfigs() []config {
	return []config{{name: rootLogger, value: s.opts.LogLevel.Level().String(),
		source: kmsg.ConfigSourceDynamicBrokerLoggerConfig, kind: kmsg.ConfigTypeString,
		documentation: "What the node logs: DEBUG, INFO, WARN or ERROR, and what is worse."}}
}

// alterLogger sets the level of this node's logger.
func (s *Server) alterLogger(from *peer, node string, validateOnly bool,
	next func(set map[string]string) (map[string]string, *refusal)) *refusal {
	set, refused := next(map[string]string{rootLogger: s.opts.LogLevel.Level().String()})
	if refused != nil {
		return refused
	}
	for name := range set {
		if name != rootLogger {
			return refuse(kerr.InvalidConfig, "there is no logger %q; there is %s", name, rootLogger)
		}
	}
	text, is := set[rootLogger]
	if !is {
		return refuse(kerr.InvalidRequest, "the level of %s can be set, and not be deleted", rootLogger)
	}
	level, known := loggerLevels[strings.ToUpper(strings.TrimSpace(text))]
	switch {
	case !known:
		return refuse(kerr.InvalidConfig, "%s: %q is not DEBUG, INFO, WARN or ERROR", rootLogger, text)
	case !validateOnly:
		s.opts.LogLevel.Set(level)
		from.changed("AlterConfigs", "logger of broker "+node+": "+level.String(), nil)
	}
	return nil
}
