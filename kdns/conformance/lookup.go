// Looks a name up with Go's own resolver, at a given server: lookup HOST:PORT TYPE NAME.
// Prints what it finds, a line each; ends with 1 and the error when it finds nothing.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	server, kind, name := os.Args[1], os.Args[2], os.Args[3]
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := look(ctx, resolver, kind, name); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func look(ctx context.Context, resolver *net.Resolver, kind, name string) error {
	var lines []string
	var err error
	switch kind {
	case "SRV":
		var found []*net.SRV
		_, found, err = resolver.LookupSRV(ctx, "", "", name)
		for _, one := range found {
			lines = append(lines, fmt.Sprint(one.Port, " ", one.Target))
		}
	case "PTR":
		lines, err = resolver.LookupAddr(ctx, name)
	case "CNAME":
		var found string
		found, err = resolver.LookupCNAME(ctx, name)
		lines = []string{found}
	default:
		lines, err = resolver.LookupHost(ctx, name)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return err
}
