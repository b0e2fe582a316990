import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/** Fetches the file by one of the two clients that every JVM has. */
class Fetch {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(System.getenv("URL") + "/file.bin");
        Path got = Path.of("got");
        if (arguments[0].equals("client")) {
            HttpClient.newHttpClient().send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofFile(got));
            return;
        }
        try (InputStream content = uri.toURL().openConnection().getInputStream()) {
            Files.copy(content, got);
        }
    }
}
