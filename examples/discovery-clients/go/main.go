// Finds services in a mesh and registers an instance, in Go, with what protoc makes of the .proto files and nothing of Heddle's.
//
//	go run . list
//	go run . watch
//	go run . -service orders -id orders-go -inbound 127.0.0.1:15106 -application 127.0.0.1:8081 register
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	pb "example.com/discovery/generated/discovery"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	control     = flag.String("control", "127.0.0.1:15010", "address of the control plane")
	stateDir    = flag.String("state-dir", ".heddle", "its state directory, for the root certificate and the operator token")
	identity    = flag.String("identity", "", "directory of `heddle identity watch`: calls as that service instead of as the operator")
	service     = flag.String("service", "", "service to register an instance of")
	id          = flag.String("id", "", "name of the instance")
	inbound     = flag.String("inbound", "", "where others reach it, IP:PORT")
	application = flag.String("application", "", "where the program listens, IP:PORT")
	lease       = flag.Duration("lease", 10*time.Second, "time after which it is gone when nothing is heard of it")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	connection, err := connect()
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := pb.NewDiscoveryClient(connection)
	switch flag.Arg(0) {
	case "list":
		err = list(ctx, client)
	case "watch":
		err = watch(ctx, client)
	case "register":
		err = register(ctx, client)
	default:
		log.Fatal("say what to do: list, watch or register")
	}
	if err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// The operator's token, sent with every call.
type bearer string

func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// Trusts the root of the mesh only; says who calls by a workload's certificate, or by the operator's token.
func connect() (*grpc.ClientConn, error) {
	// The certificate of every control plane is also for this name, wherever it runs.
	config := &tls.Config{ServerName: "control.mesh.internal", MinVersion: tls.VersionTLS13, RootCAs: x509.NewCertPool()}
	rootFile := filepath.Join(*stateDir, "ca", "root.pem")
	options := []grpc.DialOption{
		// A connection that died without a word is noticed; one that cannot be made is tried again soon.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.5, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	}
	if *identity == "" {
		token, err := os.ReadFile(filepath.Join(*stateDir, "operator.token"))
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer(strings.TrimSpace(string(token)))))
	} else {
		rootFile = filepath.Join(*identity, "ca.pem")
		// Read at every connection: the files are renewed.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(filepath.Join(*identity, "cert.pem"), filepath.Join(*identity, "key.pem"))
			return &pair, err
		}
	}
	root, err := os.ReadFile(rootFile)
	if err != nil {
		return nil, err
	}
	if !config.RootCAs.AppendCertsFromPEM(root) {
		return nil, fmt.Errorf("%s holds no certificate", rootFile)
	}
	return grpc.NewClient(*control, append(options, grpc.WithTransportCredentials(credentials.NewTLS(config)))...)
}

func describe(service *pb.Service) string {
	var healthy []string
	for _, instance := range service.Instances {
		if instance.Health == pb.Health_HEALTH_HEALTHY {
			healthy = append(healthy, fmt.Sprintf("%s %s", instance.Id, net.JoinHostPort(instance.Inbound.Address, strconv.Itoa(int(instance.Inbound.Port)))))
		}
	}
	return fmt.Sprintf("%s/%s %s :%d %d/%d healthy [%s]",
		service.Namespace, service.Name, service.Protocol, service.Port, len(healthy), len(service.Instances), strings.Join(healthy, ", "))
}

func list(ctx context.Context, client pb.DiscoveryClient) error {
	response, err := client.ListServices(ctx, &pb.ListServicesRequest{})
	if err != nil {
		return err
	}
	for _, service := range response.Services {
		fmt.Println(describe(service))
	}
	return nil
}

// Follows the registry. A watch that breaks goes on where it was; one that cannot begins anew.
func watch(ctx context.Context, client pb.DiscoveryClient) error {
	request := &pb.WatchRequest{}
	for ctx.Err() == nil {
		reason, err := follow(ctx, client, request)
		switch status.Code(err) {
		case codes.OutOfRange:
			fmt.Printf("! %s: beginning anew\n", reason)
			request = &pb.WatchRequest{}
		case codes.Unavailable:
			fmt.Printf("! UNAVAILABLE: going on after revision %d\n", request.FromRevision)
			pause(ctx)
		default:
			return err
		}
	}
	return nil
}

// Until the stream ends; returns the one word by which programs tell apart why.
func follow(ctx context.Context, client pb.DiscoveryClient, request *pb.WatchRequest) (string, error) {
	stream, err := client.Watch(ctx, request)
	if err != nil {
		return "", err
	}
	for {
		update, err := stream.Recv()
		if err != nil {
			return reasonOf(stream.Trailer()), err
		}
		for _, name := range update.Removed {
			fmt.Println("-", name)
		}
		for _, service := range update.Changed {
			fmt.Println("+", describe(service))
		}
		request.FromRevision, request.History = update.Revision, update.History
		kind := "changes"
		if update.Complete {
			kind = "complete"
		}
		fmt.Printf("= revision %d %s\n", update.Revision, kind)
	}
}

// Holds a registration: heartbeats on one stream, a new stream when that breaks, and a goodbye at the end.
func register(ctx context.Context, client pb.DiscoveryClient) error {
	instance := &pb.Instance{
		Id: *id, Namespace: "default", Service: *service, Node: *id,
		Inbound: address(*inbound), Application: address(*application),
		Metadata: map[string]string{"language": "go"},
	}
	for ctx.Err() == nil {
		reason, err := hold(ctx, client, instance)
		if ctx.Err() != nil {
			break
		}
		if status.Code(err) == codes.Aborted {
			return fmt.Errorf("another process has registered %s: %w", *id, err)
		}
		if status.Code(err) != codes.Unavailable && reason != "lease-ended" {
			return err
		}
		fmt.Printf("! %v: registering again\n", status.Code(err))
		pause(ctx)
	}
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, err := client.Deregister(goodbye, &pb.DeregisterRequest{Namespace: instance.Namespace, Service: instance.Service, Instance: instance.Id})
	fmt.Println("deregistered")
	return err
}

// One stream. The first message registers; then a heartbeat within each third of the lease's time.
func hold(ctx context.Context, client pb.DiscoveryClient, instance *pb.Instance) (string, error) {
	stream, err := client.Register(ctx)
	if err != nil {
		return "", err
	}
	message := &pb.RegisterRequest{
		Instance: instance, Health: pb.Health_HEALTH_HEALTHY, HealthReason: "it says so itself", LeaseTtlMs: uint32(lease.Milliseconds()),
	}
	for {
		// What went wrong with a message is told by the answer.
		if err := stream.Send(message); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		answer, err := stream.Recv()
		if err != nil {
			return reasonOf(stream.Trailer()), err
		}
		if message.Instance != nil {
			fmt.Printf("registered %s, lease %d ms, revision %d\n", instance.Id, answer.LeaseTtlMs, answer.InstanceRevision)
		}
		message = &pb.RegisterRequest{Health: pb.Health_HEALTH_HEALTHY, HealthReason: "it says so itself"}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(answer.LeaseTtlMs) * time.Millisecond / 3):
		}
	}
}

func reasonOf(trailer metadata.MD) string {
	return strings.Join(trailer.Get("heddle-reason"), "")
}

// So that not all clients come back at the same moment.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(100+rand.IntN(400)) * time.Millisecond):
	}
}

func address(text string) *pb.SocketAddress {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		log.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		log.Fatal(err)
	}
	return &pb.SocketAddress{Address: host, Port: uint32(number)}
}
