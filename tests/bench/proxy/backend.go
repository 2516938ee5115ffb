package main

import (
	"bufio"
	"net"
)

// response is what the backend answers to every request.
const response = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\ncontent-type: text/plain\r\n\r\nHello, world!"

// serveBackend answers every request head that arrives (without a body) with
// the same small response.
func serveBackend(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReaderSize(c, 8<<10)
			for {
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) <= 2 {
						break
					}
				}
				if _, err := c.Write([]byte(response)); err != nil {
					return
				}
			}
		}()
	}
}
