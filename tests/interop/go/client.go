package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	callers       = 4
	pause         = 2 * time.Millisecond
	callTimeout   = 10 * time.Second
	streamedCount = 5
)

type command struct {
	Do string `json:"do"`
	// Target is for which name calls are made; empty: that of the command line.
	Target    string            `json:"target"`
	Count     int               `json:"count"`
	TimeoutMs int               `json:"timeoutMs"`
	Metadata  map[string]string `json:"metadata"`
}

// reply is about one call.
type reply struct {
	Code    string `json:"code"`
	Details string `json:"details"`
	Server  string `json:"server"`
	// Peer is whom the called instance says it was called by.
	Peer string `json:"peer"`
}

// tally is about many calls: how many each server answered, and what became of the others.
type tally struct {
	mutex    sync.Mutex
	Servers  map[string]int `json:"servers"`
	Failures []string       `json:"failures"`
}

func newTally() *tally {
	return &tally{Servers: map[string]int{}, Failures: []string{}}
}

func (t *tally) add(r reply) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if r.Code == "OK" {
		t.Servers[r.Server]++
	} else {
		t.Failures = append(t.Failures, r.Code+": "+r.Details)
	}
}

// client makes calls over one channel for each target; between start and stop it makes them without end.
type client struct {
	target  string
	targets map[string]*grpc.ClientConn
	steady  *tally
	over    chan struct{}
	running sync.WaitGroup
}

func (c *client) channel(asked command) *grpc.ClientConn {
	target := asked.Target
	if target == "" {
		target = c.target
	}
	if known := c.targets[target]; known != nil {
		return known
	}
	credentials, err := xdscreds.NewClientCredentials(xdscreds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		log.Fatal(err)
	}
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(credentials), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		log.Fatal(err)
	}
	c.targets[target] = channel
	return channel
}

func runClient(target string) {
	c := &client{target: target, targets: map[string]*grpc.ClientConn{}}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked command
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		answer, err := json.Marshal(c.do(asked))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(answer))
	}
}

func (c *client) do(asked command) any {
	switch asked.Do {
	case "call":
		return unary(c.channel(asked), asked)
	case "calls":
		done := newTally()
		channel := c.channel(asked)
		for range asked.Count {
			done.add(unary(channel, asked))
		}
		return done
	case "start":
		c.start(c.channel(asked), asked)
		return struct{}{}
	case "seen":
		return c.seen()
	case "stop":
		close(c.over)
		c.running.Wait()
		return c.steady
	case "kinds":
		return kinds(c.channel(asked))
	default:
		log.Fatalf("no command %q", asked.Do)
		return nil
	}
}

func (c *client) start(channel *grpc.ClientConn, asked command) {
	c.steady, c.over = newTally(), make(chan struct{})
	for range callers {
		c.running.Go(func() {
			for {
				select {
				case <-c.over:
					return
				case <-time.After(pause):
					c.steady.add(unary(channel, asked))
				}
			}
		})
	}
}

// seen is who answered since the last time it was asked for; what failed stays for stop.
func (c *client) seen() map[string]int {
	c.steady.mutex.Lock()
	defer c.steady.mutex.Unlock()
	seen := c.steady.Servers
	c.steady.Servers = map[string]int{}
	return seen
}

func callContext(asked command) (context.Context, context.CancelFunc) {
	timeout := callTimeout
	if asked.TimeoutMs > 0 {
		timeout = time.Duration(asked.TimeoutMs) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	return metadata.NewOutgoingContext(ctx, metadata.New(asked.Metadata)), cancel
}

func unary(channel *grpc.ClientConn, asked command) reply {
	ctx, cancel := callContext(asked)
	defer cancel()
	var header metadata.MD
	request, response := []byte("hello"), []byte{}
	err := channel.Invoke(ctx, method("Unary"), &request, &response, grpc.Header(&header))
	first := func(name string) string {
		if values := header.Get(name); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	ended := status.Convert(err)
	return reply{Code: ended.Code().String(), Details: ended.Message(), Server: first("x-server"), Peer: first("x-peer")}
}

// kinds makes one call of each kind and says what came back.
func kinds(channel *grpc.ClientConn) map[string]any {
	ctx, cancel := callContext(command{})
	defer cancel()
	answer := []byte{}
	request := []byte("hello")
	err := channel.Invoke(ctx, method("Unary"), &request, &answer)
	collected, collectErr := converse(ctx, channel, &collectDesc, "a", "b", "c")
	counted, countErr := converse(ctx, channel, &countDesc, fmt.Sprint(streamedCount))
	chatted, chatErr := converse(ctx, channel, &chatDesc, "one", "two", "three")
	for _, failed := range []error{err, collectErr, countErr, chatErr} {
		if failed != nil {
			return map[string]any{"error": failed.Error()}
		}
	}
	return map[string]any{"unary": string(answer), "collect": collected, "count": counted, "chat": chatted}
}

// converse sends the messages and returns all that comes back. In a conversation each waits for the answer to the one before.
func converse(ctx context.Context, channel *grpc.ClientConn, kind *grpc.StreamDesc, messages ...string) ([]string, error) {
	stream, err := channel.NewStream(ctx, kind, method(kind.StreamName))
	if err != nil {
		return nil, err
	}
	answers := []string{}
	receive := func() error {
		message := []byte{}
		err := stream.RecvMsg(&message)
		if err == nil {
			answers = append(answers, string(message))
		}
		return err
	}
	for _, message := range messages {
		bytes := []byte(message)
		if err := stream.SendMsg(&bytes); err != nil {
			return nil, err
		}
		if kind.ClientStreams && kind.ServerStreams {
			if err := receive(); err != nil {
				return nil, err
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	for {
		if err := receive(); err == io.EOF {
			return answers, nil
		} else if err != nil {
			return nil, err
		}
	}
}
