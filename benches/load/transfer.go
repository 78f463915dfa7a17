package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var errWrongBytes = errors.New("bytes that were not sent")

// transfer moves one large body up or down through a proxy and checks each byte.
func transfer(arguments []string) (any, error) {
	flags := flag.NewFlagSet("transfer", flag.ExitOnError)
	url := flags.String("url", "", "the proxy, without a path")
	size := flags.Int64("bytes", 4<<30, "of the body")
	up := flags.Bool("up", false, "up, not down")
	flags.Parse(arguments)
	begun := time.Now()
	move := down
	if *up {
		move = upload
	}
	if err := move(*url, *size); err != nil {
		return nil, err
	}
	seconds := time.Since(begun).Seconds()
	return map[string]any{"bytes": *size, "seconds": seconds, "mib_per_second": float64(*size) / seconds / (1 << 20)}, nil
}

func down(url string, size int64) error {
	answer, err := http.Get(fmt.Sprintf("%s/down/%d", url, size))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	count, err := matching(answer.Body)
	if err != nil {
		return err
	}
	return whole(answer, count, size)
}

func upload(url string, size int64) error {
	request, err := http.NewRequest("POST", url+"/up", body(size))
	if err != nil {
		return err
	}
	request.ContentLength = size
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	count, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return whole(answer, count, size)
}

func whole(answer *http.Response, count, size int64) error {
	if answer.StatusCode != http.StatusOK || count != size {
		return fmt.Errorf("%s with %d of %d bytes", answer.Status, count, size)
	}
	return nil
}
