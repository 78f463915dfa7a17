package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// handshakes opens connections one after the other on each of a few clients, with TLS 1.3, P-256 and one GET each.
func handshakes(arguments []string) (any, error) {
	flags := flag.NewFlagSet("handshakes", flag.ExitOnError)
	address := flags.String("address", "", "host:port")
	path := flags.String("path", "/bench", "what to ask for")
	count := flags.Int("count", 1000, "connections in all")
	clients := flags.Int("clients", 8, "connections at a time")
	resume := flags.Bool("resume", false, "resume the session of the connection before")
	flags.Parse(arguments)
	begun := time.Now()
	var resumed, number atomic.Int64
	errs := make(chan error, *clients)
	var all sync.WaitGroup
	for range *clients {
		all.Go(func() {
			config := &tls.Config{
				// What verifying a chain costs the client is of no interest here.
				InsecureSkipVerify: true,
				ServerName:         "localhost",
				MinVersion:         tls.VersionTLS13,
				CurvePreferences:   []tls.CurveID{tls.CurveP256},
				NextProtos:         []string{"http/1.1"},
			}
			if *resume {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				// The first one of each client is full, to have something to resume.
				if _, err := one(*address, *path, config, 0); err != nil {
					errs <- err
					return
				}
			}
			for {
				next := number.Add(1)
				if next > int64(*count) {
					return
				}
				was, err := one(*address, *path, config, int(next))
				if err != nil {
					errs <- err
					return
				}
				if was {
					resumed.Add(1)
				}
			}
		})
	}
	all.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return nil, err
	}
	if *resume && resumed.Load() != int64(*count) {
		return nil, fmt.Errorf("only %d of %d sessions were resumed", resumed.Load(), *count)
	}
	return map[string]any{"connections": *count, "seconds": time.Since(begun).Seconds()}, nil
}

// one connects, asks once, and tells whether the session was resumed.
func one(address, path string, config *tls.Config, number int) (bool, error) {
	plain, err := dialer(number).Dial("tcp4", address)
	if err != nil {
		return false, err
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(patience))
	connection := tls.Client(plain, config)
	if err := connection.Handshake(); err != nil {
		return false, err
	}
	if err := ask(connection, path); err != nil {
		return false, err
	}
	return connection.ConnectionState().DidResume, connection.Close()
}

// ask sends one GET and reads its answer of 200.
func ask(connection net.Conn, path string) error {
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReaderSize(connection, 2048), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}
