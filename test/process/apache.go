package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apacheProperties are those of one process that is broker and controller. The HTTP address is
// free, so it serves for the controller.
const apacheProperties = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={http}
listeners=PLAINTEXT://{kafka},CONTROLLER://{http}
controller.listener.names=CONTROLLER
log.dirs={dir}/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
`

// Apache is the command line of Apache Kafka, whose jars are in lib. FormatApache comes before it.
func Apache(lib string) []string {
	return []string{"java", "-Xmx1g", "-cp", filepath.Join(lib, "*"), "kafka.Kafka", "{dir}/server.properties"}
}

// FormatApache makes a fresh directory one of Apache Kafka's. More properties are those beyond what
// it needs; they win, and {dir}, {kafka} and {http} stand in them for what they do in a command.
func FormatApache(ctx context.Context, lib string, spec Spec, more string) error {
	file := filepath.Join(spec.Dir, "server.properties")
	fill := strings.NewReplacer("{kafka}", spec.Kafka, "{http}", spec.HTTP, "{dir}", spec.Dir)
	if err := os.WriteFile(file, []byte(fill.Replace(apacheProperties+more)), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "java", "-Xmx256m", "-cp", filepath.Join(lib, "*"), "kafka.tools.StorageTool",
		"format", "-t", "c29tZS1maXhlZC1pZC0xMg", "-c", file, "--standalone",
		"--feature", "eligible.leader.replicas.version=0") // it would set a config of all topics
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("formatting Kafka's storage: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
