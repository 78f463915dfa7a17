// Command load is what the benchmarks and the large acceptance tests drive a proxy with: an upstream, and clients that count
// what they get. Each client prints one line of JSON at its end and exits with 1 if anything failed.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sort"
	"time"
)

// patience is how long any single answer may take before it counts as lost.
const patience = 30 * time.Second

func main() {
	commands := map[string]func([]string) (any, error){
		"upstream":    upstream,
		"handshakes":  handshakes,
		"messages":    messages,
		"idle":        idle,
		"transfer":    transfer,
		"propagation": propagation,
		"kube-routes": kubeRoutes,
		"kube-fill":   kubeFill,
		"kube-churn":  kubeChurn,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: load upstream|handshakes|messages|idle|transfer|propagation|kube-routes|kube-fill|kube-churn [flags]"))
	}
	report, err := commands[os.Args[1]](os.Args[2:])
	if report != nil {
		json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

// dialer connects from 127.0.0.x by the number of the connection: one address has too few ports for all that wait in TIME_WAIT.
func dialer(number int) *net.Dialer {
	source := net.IPv4(127, 0, 0, byte(2+number/1000%200))
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: source}, Timeout: patience}
}

// percentile of unsorted microseconds; sorts them.
func percentile(micros []int32, share float64) int32 {
	if len(micros) == 0 {
		return 0
	}
	sort.Slice(micros, func(a, b int) bool { return micros[a] < micros[b] })
	return micros[min(len(micros)-1, int(share*float64(len(micros))))]
}
