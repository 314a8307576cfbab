import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.apache.kafka.common.utils.internals.Exit;

/**
 * Runs calls of Apache Kafka's command line in one process. A line of the input is one call, its words divided by tabs:
 * the name of the tool, as in kafka-NAME.sh, then the arguments. A word "<" ends them: what follows are lines that the
 * tool reads. A word FILE=TEXT stands for a file with that text, in which commas are. For each call, what it prints
 * comes out, then a line "== " with its status.
 */
public class Tools {
    static class Exited extends Error {
        final int status;
        Exited(int status) { super(null, null, false, false); this.status = status; }
    }

    static Integer status; // of the first exit: some tools catch the error that stands for it

    static void exit(int with) {
        if (status == null) status = with;
        throw new Exited(status);
    }

    static final Map<String, String> TOOLS = Map.ofEntries(
        Map.entry("acls", "AclCommand"),
        Map.entry("broker-api-versions", "BrokerApiVersionsCommand"),
        Map.entry("client-metrics", "ClientMetricsCommand"),
        Map.entry("cluster", "ClusterTool"),
        Map.entry("configs", "ConfigCommand"),
        Map.entry("console-consumer", "consumer.ConsoleConsumer"),
        Map.entry("console-producer", "ConsoleProducer"),
        Map.entry("console-share-consumer", "consumer.ConsoleShareConsumer"),
        Map.entry("consumer-groups", "consumer.group.ConsumerGroupCommand"),
        Map.entry("delete-records", "DeleteRecordsCommand"),
        Map.entry("features", "FeatureCommand"),
        Map.entry("get-offsets", "GetOffsetShell"),
        Map.entry("groups", "GroupsCommand"),
        Map.entry("leader-election", "LeaderElectionCommand"),
        Map.entry("log-dirs", "LogDirsCommand"),
        Map.entry("metadata-quorum", "MetadataQuorumCommand"),
        Map.entry("reassign-partitions", "reassign.ReassignPartitionsCommand"),
        Map.entry("share-groups", "consumer.group.ShareGroupCommand"),
        Map.entry("streams-groups", "streams.StreamsGroupCommand"),
        Map.entry("topics", "TopicCommand"),
        Map.entry("transactions", "TransactionsCommand"));

    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((status, message) -> exit(status));
        Exit.setHaltProcedure((status, message) -> exit(status));
        PrintStream out = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            List<String> words = new ArrayList<>(List.of(line.split("\t")));
            int from = words.indexOf("<");
            String read = from < 0 ? "" : String.join("\n", words.subList(from + 1, words.size())) + "\n";
            if (from >= 0) words.subList(from, words.size()).clear();
            for (int i = 0; i < words.size(); i++)
                if (words.get(i).startsWith("FILE=")) words.set(i, file(words.get(i).substring("FILE=".length())));
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            System.setErr(System.out);
            System.setIn(new ByteArrayInputStream(read.getBytes(StandardCharsets.UTF_8)));
            status = null;
            int ended = timed(words);
            out.println(printed.toString(StandardCharsets.UTF_8));
            out.println("== " + ended);
            out.flush();
        }
        System.out.close();
        Runtime.getRuntime().halt(0); // some tools leave threads behind
    }

    static String file(String text) throws Exception {
        Path path = Files.createTempFile("tools", ".json");
        path.toFile().deleteOnExit();
        return Files.writeString(path, text).toString();
    }

    /** Makes a call and returns its status: 124 if it takes longer than a minute. */
    static int timed(List<String> words) throws Exception {
        int[] ended = {124};
        Thread thread = new Thread(() -> {
            try {
                ended[0] = call(words);
            } catch (Exception e) {
                System.out.println(e);
            }
        });
        thread.setDaemon(true);
        thread.start();
        thread.join(60_000);
        return ended[0];
    }

    static int call(List<String> words) throws Exception {
        String[] args = words.subList(1, words.size()).toArray(String[]::new);
        try {
            Class.forName("org.apache.kafka.tools." + TOOLS.get(words.get(0)))
                .getMethod("main", String[].class).invoke(null, (Object) args);
            return status == null ? 0 : status;
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Exited) return status;
            System.out.println(e.getCause());
            return 1; // as of a process whose main throws
        }
    }
}
