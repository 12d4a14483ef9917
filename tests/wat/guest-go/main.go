// A connector as a Go programmer would write one: reads the operation from
// standard input, makes one request through the host, sleeps a little in a
// goroutine, answers on standard output. `{"op":"exit","args":{"code":3}}` exits,
// `{"op":"panic"}` panics, `{"op":"eat"}` asks for memory until it is refused.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
	"unsafe"
)

//go:wasmimport aileron_host log
func hostLog(level unsafe.Pointer, levelLen uint32, text unsafe.Pointer, textLen uint32)

//go:wasmimport aileron_host http_request
func httpRequest(request unsafe.Pointer, length uint32) int32

//go:wasmimport aileron_host http_response_status
func httpResponseStatus() int32

//go:wasmimport aileron_host http_response_size
func httpResponseSize() int32

//go:wasmimport aileron_host http_response_read
func httpResponseRead(to unsafe.Pointer, size uint32) int32

type call struct {
	Op   string `json:"op"`
	Args struct {
		URL  string `json:"url"`
		Code int    `json:"code"`
	} `json:"args"`
}

func say(text string) {
	level := []byte("info")
	line := []byte(text)
	hostLog(unsafe.Pointer(&level[0]), uint32(len(level)), unsafe.Pointer(&line[0]), uint32(len(line)))
	runtime.KeepAlive(level)
	runtime.KeepAlive(line)
}

func fetch(url string) (int32, string) {
	request, _ := json.Marshal(map[string]any{"method": "GET", "url": url})
	result := httpRequest(unsafe.Pointer(&request[0]), uint32(len(request)))
	runtime.KeepAlive(request)
	if result != 0 {
		return result, ""
	}
	body := make([]byte, httpResponseSize()+1)
	n := httpResponseRead(unsafe.Pointer(&body[0]), uint32(len(body)))
	return httpResponseStatus(), string(body[:n])
}

func eat() {
	var kept [][]byte
	for {
		piece := make([]byte, 4<<20)
		for i := 0; i < len(piece); i += 4096 {
			piece[i] = 1
		}
		kept = append(kept, piece)
		if len(kept) < 0 {
			fmt.Println(kept)
		}
	}
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var c call
	if err := json.Unmarshal(text, &c); err != nil {
		fmt.Fprintln(os.Stderr, "bad input:", err)
		os.Exit(1)
	}
	switch c.Op {
	case "exit":
		os.Exit(c.Args.Code)
	case "panic":
		panic("as told")
	case "eat":
		eat()
	case "noop":
		fmt.Print(`{"output":{}}`)
		return
	}
	done := make(chan bool)
	go func() {
		time.Sleep(20 * time.Millisecond)
		done <- true
	}()
	<-done
	status, body := fetch(c.Args.URL)
	say(fmt.Sprintf("status %d", status))
	json.NewEncoder(os.Stdout).Encode(map[string]any{"output": map[string]any{"status": status, "body": body, "args": len(os.Args)}})
}
