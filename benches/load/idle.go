package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// idle opens connections that ask once, says "open", and keeps them until its input ends; then asks once more on each.
func idle(arguments []string) (any, error) {
	flags := flag.NewFlagSet("idle", flag.ExitOnError)
	address := flags.String("address", "", "host:port")
	path := flags.String("path", "/", "what to ask for")
	count := flags.Int("count", 10000, "connections")
	flags.Parse(arguments)
	connections := make([]net.Conn, *count)
	use := func(number int) error {
		if connections[number] == nil {
			connection, err := dialer(number).Dial("tcp4", *address)
			if err != nil {
				return err
			}
			connections[number] = connection
		}
		connections[number].SetDeadline(time.Now().Add(patience))
		return ask(connections[number], *path)
	}
	if lost, err := each(*count, use); err != nil {
		return map[string]any{"lost": lost}, err
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	lost, err := each(*count, use)
	return map[string]any{"connections": *count, "lost": lost}, err
}

// each calls for all numbers, some at a time; how many failed, and one of the errors.
func each(count int, call func(int) error) (int, error) {
	numbers := make(chan int)
	var all sync.WaitGroup
	var lock sync.Mutex
	var failed int
	var last error
	for range 64 {
		all.Go(func() {
			for number := range numbers {
				if err := call(number); err != nil {
					lock.Lock()
					failed, last = failed+1, err
					lock.Unlock()
				}
			}
		})
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	all.Wait()
	return failed, last
}
