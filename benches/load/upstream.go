package main

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"strconv"
)

// pattern is what bodies consist of, so that a piece that is lost, doubled or out of place is noticed.
var pattern = func() []byte {
	block := make([]byte, 251*256)
	for i := range block {
		block[i] = byte(i % 251)
	}
	return block
}()

// body reads as the first bytes of the endless pattern.
func body(size int64) io.Reader {
	return io.LimitReader(&repeated{}, size)
}

type repeated struct{ at int }

func (r *repeated) Read(to []byte) (int, error) {
	n := copy(to, pattern[r.at:])
	r.at = (r.at + n) % len(pattern)
	return n, nil
}

// matching counts the bytes of the pattern that from has, until its end or the first wrong one.
func matching(from io.Reader) (int64, error) {
	buffer := make([]byte, len(pattern))
	var count int64
	for {
		n, err := io.ReadFull(from, buffer)
		if !bytes.Equal(buffer[:n], pattern[:n]) {
			return count, errWrongBytes
		}
		count += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return count, nil
		}
		if err != nil {
			return count, err
		}
	}
}

// upstream answers GET /down/N with N bytes, POST /up with how many right bytes came, /ws as a WebSocket that echoes, POST /grpc/…
// as a unary gRPC call, and the rest with 1 KiB; over HTTP/1.1, and HTTP/2 with prior knowledge.
func upstream(arguments []string) (any, error) {
	flags := flag.NewFlagSet("upstream", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address")
	flags.Parse(arguments)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /down/{size}", func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", r.PathValue("size"))
		io.Copy(w, body(size))
	})
	mux.HandleFunc("POST /up", func(w http.ResponseWriter, r *http.Request) {
		count, err := matching(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, strconv.FormatInt(count, 10))
	})
	mux.HandleFunc("/ws", echo)
	small := bytes.Repeat([]byte("x"), 1024)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write(small) })
	mux.HandleFunc("POST /grpc/", unary)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: *listen, Handler: mux, Protocols: protocols}
	return nil, server.ListenAndServe()
}

// message is what a gRPC call is answered with: not compressed, 64 bytes (gRPC over HTTP/2, Length-Prefixed-Message).
var message = append([]byte{0, 0, 0, 0, 64}, bytes.Repeat([]byte("m"), 64)...)

func unary(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	w.Write(message)
}
