package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// The length of a message; short enough for the one-byte length of a frame (RFC 6455 section 5.2).
const messageBytes = 64

var errWrongEcho = errors.New("an echo of something else")

// mask is what clients mask with. Any will do here, as long as unmasking isn't for nothing.
var mask = [4]byte{0x5a, 0xc3, 0x0f, 0x99}

// messages opens WebSockets, says "open", and sends a message on each every so often, which has to come back.
func messages(arguments []string) (any, error) {
	flags := flag.NewFlagSet("messages", flag.ExitOnError)
	address := flags.String("address", "", "host:port")
	path := flags.String("path", "/ws", "of the WebSocket")
	count := flags.Int("connections", 32, "WebSockets")
	interval := flags.Duration("interval", time.Second, "between two messages of a WebSocket")
	rounds := flags.Int("each", 60, "messages on each")
	flags.Parse(arguments)
	sockets := make([]*socket, *count)
	if lost, err := each(*count, func(number int) (err error) {
		sockets[number], err = open(*address, *path, number)
		return err
	}); err != nil {
		return map[string]any{"lost": lost}, err
	}
	fmt.Println("open")
	begun := time.Now()
	var all sync.WaitGroup
	for number, socket := range sockets {
		all.Go(func() {
			// Evenly spread, not all at the same moment.
			socket.run(begun.Add(*interval*time.Duration(number)/time.Duration(*count)), *interval, *rounds)
		})
	}
	all.Wait()
	return summed(sockets, time.Since(begun))
}

func summed(sockets []*socket, elapsed time.Duration) (any, error) {
	var micros []int32
	var lost int
	var last error
	for _, socket := range sockets {
		micros = append(micros, socket.micros...)
		if socket.err != nil {
			lost, last = lost+1, socket.err
		}
		socket.connection.Close()
	}
	return map[string]any{
		"connections": len(sockets), "lost": lost, "messages": len(micros), "seconds": elapsed.Seconds(),
		"p50": percentile(micros, 0.5), "p99": percentile(micros, 0.99),
	}, last
}

type socket struct {
	connection net.Conn
	reader     *bufio.Reader
	micros     []int32
	err        error
}

func open(address, path string, number int) (*socket, error) {
	connection, err := dialer(number).Dial("tcp4", address)
	if err != nil {
		return nil, err
	}
	connection.SetDeadline(time.Now().Add(patience))
	key := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(number)))
	head := "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
	if _, err := fmt.Fprintf(connection, head, path, key); err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(connection, 512)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != accept(key) {
		return nil, fmt.Errorf("answered %s", answer.Status)
	}
	return &socket{connection: connection, reader: reader}, nil
}

// accept is the answer to a key (RFC 6455 section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (s *socket) run(first time.Time, interval time.Duration, count int) {
	frame := make([]byte, 6+messageBytes)
	received := make([]byte, 2+messageBytes)
	for n := range count {
		time.Sleep(time.Until(first.Add(time.Duration(n) * interval)))
		begun := time.Now()
		s.connection.SetDeadline(begun.Add(patience))
		if s.err = s.exchange(frame, received, uint64(n)); s.err != nil {
			return
		}
		s.micros = append(s.micros, int32(time.Since(begun).Microseconds()))
	}
}

func (s *socket) exchange(frame, received []byte, number uint64) error {
	frame[0], frame[1] = 0x82, 0x80|messageBytes
	copy(frame[2:], mask[:])
	payload := frame[6:]
	clear(payload)
	binary.BigEndian.PutUint64(payload, number)
	turn(payload, mask)
	if _, err := s.connection.Write(frame); err != nil {
		return err
	}
	if _, err := io.ReadFull(s.reader, received); err != nil {
		return err
	}
	if received[0] != 0x82 || received[1] != messageBytes || binary.BigEndian.Uint64(received[2:]) != number {
		return errWrongEcho
	}
	return nil
}

// turn masks or unmasks.
func turn(payload []byte, mask [4]byte) {
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
}

// echo is the other side: it sends each short frame back.
func echo(w http.ResponseWriter, r *http.Request) {
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"
	if _, err := fmt.Fprintf(connection, answer, accept(r.Header.Get("Sec-WebSocket-Key"))); err != nil {
		return
	}
	frame := make([]byte, 6+messageBytes)
	for {
		if _, err := io.ReadFull(buffered, frame); err != nil || frame[1] != 0x80|messageBytes {
			return
		}
		turn(frame[6:], [4]byte(frame[2:6]))
		frame[4], frame[5] = frame[0], messageBytes
		if _, err := connection.Write(frame[4:]); err != nil {
			return
		}
	}
}
