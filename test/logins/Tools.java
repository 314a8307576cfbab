import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.BufferedReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

import org.apache.kafka.common.utils.internals.Exit;
import org.apache.kafka.tools.AclCommand;
import org.apache.kafka.tools.ConfigCommand;

/**
 * Runs calls of kafka-acls.sh and kafka-configs.sh in one process. A line of the input is one call, its words divided
 * by tabs: acls or configs, then the arguments. For each, what it prints comes out, then a line "== " with its status.
 */
public class Tools {
    static class Exited extends Error {
        final int status;
        Exited(int status) { this.status = status; }
    }

    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((status, message) -> { throw new Exited(status); });
        Exit.setHaltProcedure((status, message) -> { throw new Exited(status); });
        PrintStream out = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split("\t");
            String[] call = Arrays.copyOfRange(words, 1, words.length);
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            System.setErr(System.out);
            int status = 0;
            try {
                if (words[0].equals("acls")) AclCommand.main(call); else ConfigCommand.main(call);
            } catch (Exited e) {
                status = e.status;
            }
            out.println(printed.toString(StandardCharsets.UTF_8));
            out.println("== " + status);
            out.flush();
        }
    }
}
