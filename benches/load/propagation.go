package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How often each worker is asked for a new route, and when it is given up.
const askEvery = 5 * time.Millisecond

// leader writes by the admin API, in Otoroshi's JSON.
type leader struct {
	url, id, secret string
	target          int
	client          http.Client
}

// propagation adds routes one by one by the admin API and asks every worker for each, from the acknowledged write to the first 200.
// With -churn it first fills the cluster, and edits a route each second and a backend every two seconds meanwhile.
func propagation(arguments []string) (any, error) {
	flags := flag.NewFlagSet("propagation", flag.ExitOnError)
	url := flags.String("leader", "", "http://host:port of the admin API")
	credentials := flags.String("credentials", "", "client id:secret")
	workers := flags.String("workers", "", "host:port, with commas between")
	target := flags.Int("target", 0, "port of what answers")
	count := flags.Int("routes", 3000, "routes that are added")
	filled := flags.Int("filled", 0, "routes and backends that are there before")
	prefix := flags.String("prefix", "added", "of the names of the routes")
	flags.Parse(arguments)
	id, secret, _ := strings.Cut(*credentials, ":")
	to := &leader{url: *url, id: id, secret: secret, target: *target}
	if err := to.fill(*filled); err != nil {
		return nil, err
	}
	var watchers []*watcher
	for _, address := range strings.Split(*workers, ",") {
		watchers = append(watchers, &watcher{address: address, client: http.Client{Timeout: patience}})
	}
	stop := make(chan struct{})
	late := sleeper(stop)
	edits := to.churn(*filled, stop)
	begun := time.Now()
	for number := range *count {
		name := fmt.Sprintf("%s-%d", *prefix, number)
		if err := add(to, watchers, name); err != nil {
			close(stop)
			return nil, err
		}
	}
	elapsed := time.Since(begun)
	close(stop)
	var micros []int32
	wrong := 0
	for _, watcher := range watchers {
		micros = append(micros, watcher.micros...)
		wrong += watcher.wrong
	}
	lateness := <-late
	sum := 0
	for _, value := range micros {
		sum += int(value)
	}
	return map[string]any{
		"seen": len(micros), "wrong": wrong, "seconds": elapsed.Seconds(), "edits": edits.Load(),
		"mean": sum / max(1, len(micros)), "p50": percentile(micros, 0.5), "p99": percentile(micros, 0.99),
		"p999": percentile(micros, 0.999), "max": percentile(micros, 1), "late_p999": percentile(lateness, 0.999),
	}, nil
}

// add writes one route, and returns once all workers have it.
func add(to *leader, watchers []*watcher, name string) error {
	_, err := addBy(func() error { return to.write("POST", "/api/routes", to.route(name, "/"+name)) }, watchers, name)
	return err
}

// addBy does the same by any write; when that was acknowledged.
func addBy(write func() error, watchers []*watcher, name string) (time.Time, error) {
	for _, watcher := range watchers {
		// Nobody has it yet; and connections are open when it counts.
		if status, err := watcher.ask(name); err != nil || status != http.StatusNotFound {
			return time.Time{}, fmt.Errorf("before %s was written %s answered %d: %v", name, watcher.address, status, err)
		}
	}
	if err := write(); err != nil {
		return time.Time{}, err
	}
	written := time.Now()
	var all sync.WaitGroup
	errs := make(chan error, len(watchers))
	for _, watcher := range watchers {
		all.Go(func() { errs <- watcher.wait(name, written) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return time.Time{}, err
		}
	}
	return written, nil
}

// watcher asks one worker.
type watcher struct {
	address string
	client  http.Client
	micros  []int32
	wrong   int
}

func (w *watcher) ask(name string) (int, error) {
	answer, err := w.client.Get("http://" + w.address + "/" + name)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, nil
}

func (w *watcher) wait(name string, since time.Time) error {
	for next := since; ; {
		status, err := w.ask(name)
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			w.micros = append(w.micros, int32(time.Since(since).Microseconds()))
			return nil
		case status != http.StatusNotFound:
			w.wrong++
		}
		if time.Since(since) > patience {
			return fmt.Errorf("%s doesn't have %s", w.address, name)
		}
		next = next.Add(askEvery)
		time.Sleep(time.Until(next))
	}
}

func (l *leader) route(name, path string) any {
	target := map[string]any{"hostname": "127.0.0.1", "port": l.target}
	return map[string]any{
		"id": name, "name": name, "frontend": map[string]any{"domains": []string{"*" + path}, "strip_path": false},
		"backend": map[string]any{"targets": []any{target}},
	}
}

// referring is a route of the fill: to a backend of its own, and by a regular expression if its number says so.
func (l *leader) referring(number int) any {
	path := fmt.Sprintf("/filled-%d", number)
	route := map[string]any{
		"id": fmt.Sprintf("filled-%d", number), "name": path, "backend_ref": fmt.Sprintf("filled-%d", number),
		"frontend": map[string]any{"domains": []string{"*" + path}, "strip_path": false},
	}
	if number%10 == 0 {
		route["frontend"] = map[string]any{"domains": []string{fmt.Sprintf("*/filled-%d/$id<[0-9]+>", number)}, "strip_path": false}
	}
	return route
}

func (l *leader) backend(number, version int) any {
	target := map[string]any{"hostname": "127.0.0.1", "port": l.target}
	return map[string]any{
		"id": fmt.Sprintf("filled-%d", number), "name": fmt.Sprintf("filled %d, version %d", number, version),
		"backend": map[string]any{"targets": []any{target}, "root": fmt.Sprintf("/v%d", version)},
	}
}

func (l *leader) fill(count int) error {
	_, err := each(count, func(number int) error {
		if err := l.write("POST", "/api/backends", l.backend(number, 0)); err != nil {
			return err
		}
		return l.write("POST", "/api/routes", l.referring(number))
	})
	return err
}

// churn edits among what was filled until stop is closed; how many edits there were.
func (l *leader) churn(count int, stop chan struct{}) *atomic.Int64 {
	var edits atomic.Int64
	if count == 0 {
		return &edits
	}
	every := func(interval time.Duration, edit func(version int) error) {
		ticks := time.NewTicker(interval)
		for version := 1; ; version++ {
			select {
			case <-stop:
				return
			case <-ticks.C:
				if err := edit(version); err != nil {
					fail(err)
				}
				edits.Add(1)
			}
		}
	}
	go every(time.Second, func(version int) error {
		number := version * 7 % count
		route := l.referring(number).(map[string]any)
		route["name"] = fmt.Sprintf("version %d", version)
		return l.write("PUT", fmt.Sprintf("/api/routes/filled-%d", number), route)
	})
	go every(2*time.Second, func(version int) error {
		number := version * 11 % count
		return l.write("PUT", fmt.Sprintf("/api/backends/filled-%d", number), l.backend(number, version))
	})
	return &edits
}

func (l *leader) write(method, path string, entity any) error {
	body, err := json.Marshal(entity)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, l.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.SetBasicAuth(l.id, l.secret)
	request.Header.Set("Content-Type", "application/json")
	answer, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return nil
}

// sleeper sleeps a millisecond again and again; by how many microseconds it woke late says what this machine can measure.
func sleeper(stop chan struct{}) chan []int32 {
	late := make(chan []int32, 1)
	go func() {
		var micros []int32
		for {
			begun := time.Now()
			select {
			case <-stop:
				late <- micros
				return
			case <-time.After(time.Millisecond):
				micros = append(micros, int32(time.Since(begun).Microseconds()-1000))
			}
		}
	}()
	return late
}
