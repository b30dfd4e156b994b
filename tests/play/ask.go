// Looks a host up and fetches a page from it, as any Go program does, and prints both.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	addresses, err := net.LookupHost(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(addresses)
	reply, err := http.Get("http://" + net.JoinHostPort(os.Args[1], os.Args[2]) + "/")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer reply.Body.Close()
	io.Copy(os.Stdout, reply.Body)
}
