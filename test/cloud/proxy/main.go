// Proxy makes a server that speaks S3 as slow as Amazon's, and says at its end what the requests
// would have cost there.
//
//	make stack
//	go run ./test/cloud/proxy -target http://127.0.0.1:9000 -listen 127.0.0.1:9100 -profile standard
//
// Then firn serve with endpoint=http://127.0.0.1:9100 in the URL of its bucket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"

	"firn.dev/test/cloud"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

func run() error {
	names := slices.Sorted(maps.Keys(cloud.Profiles()))
	target := flag.String("target", "http://127.0.0.1:9000", "the server")
	listen := flag.String("listen", "127.0.0.1:9100", "where clients come in")
	name := flag.String("profile", "standard", "how slow: "+strings.Join(names, ", "))
	seed := flag.Uint64("seed", 1, "of the times that are drawn")
	flag.Parse()
	profile := cloud.Profiles()[*name]
	if profile == nil {
		return fmt.Errorf("-profile %q is none of %s", *name, strings.Join(names, ", "))
	}
	to, err := url.Parse(*target)
	if err != nil || to.Host == "" {
		return fmt.Errorf("-target %q is no URL such as http://127.0.0.1:9000", *target)
	}
	proxy := cloud.NewProxy(to, profile, *seed)
	server := &http.Server{Addr: *listen, Handler: proxy}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.WithoutCancel(ctx)) })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	used := proxy.Usage()
	fmt.Printf("%+v: $%.6f on %s\n", used, used.Dollars(&profile.Prices), profile.Name)
	return nil
}
