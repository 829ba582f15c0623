// grpc-go-load puts load on a scaler with the library that KEDA uses, and is
// the baseline to compare with: a grpc-go server that answers a constant.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "externalscaler"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const usage = `usage: grpc-go-load COMMAND --address HOST:PORT [flags]

Prints one JSON object a line.

commands
  serve    answers every call with a constant, with the response header a scaler
           sends; StreamIsActive sends true once and stays open
  load     opens streams, then keeps calls in flight: warm-up, then the measurement:
             {"calls","codes","seconds","perSecond","p50Us","p99Us","maxUs",
              "serverCpuSeconds","driverCpuSeconds","streams"}
  flood    calls, or streams that nobody reads: {"event":"progress"} once a second,
           then {"event":"done"}, with {"done","codes","seconds"}

flags
  --namespace NS --name NAME --meta KEY=VALUE (repeatable) --metric NAME
                          {i} stands for the number of the call or stream
  --method M              GetMetrics (default), IsActive, GetMetricSpec, StreamIsActive
  --pid PID               server process whose CPU time is reported
  --streams N             StreamIsActive streams held open beside the load
  --concurrency C         calls in flight (default 64)
  --connections N         connections for flood (default 1)
  --seconds S --warmup S  load
  --count N               flood
  --padding BYTES         flood: metadata of this size
  --stream-deadline D     flood: how long a stream may last, waiting for a slot included
  --hold                  flood: keep streams open until stdin closes
`

type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, ",") }
func (r *repeated) Set(v string) error { *r = append(*r, v); return nil }

type options struct {
	address, namespace, name, metric, method string
	meta                                     repeated
	pid, streams, concurrency, connections   int
	count                                    int64
	seconds, warmup                          float64
	padding                                  int
	streamDeadline                           time.Duration
	hold                                     bool
}

func (o *options) reference(i int64) *pb.ScaledObjectRef {
	number := func(s string) string { return strings.Replace(s, "{i}", strconv.FormatInt(i, 10), -1) }
	ref := &pb.ScaledObjectRef{Namespace: number(o.namespace), Name: number(o.name), ScalerMetadata: map[string]string{}}
	for _, pair := range o.meta {
		kv := strings.SplitN(pair, "=", 2)
		ref.ScalerMetadata[kv[0]] = number(kv[1])
	}
	if o.padding > 0 {
		ref.ScalerMetadata["padding"] = strings.Repeat("x", o.padding)
	}
	return ref
}

func dial(address string) *grpc.ClientConn {
	conn, err := grpc.Dial(address,
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`),
		grpc.WithInsecure(), grpc.WithBlock())
	check(err)
	return conn
}

func check(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "grpc-go-load: %v\n", err)
		os.Exit(1)
	}
}

var output sync.Mutex

func emit(o map[string]interface{}) {
	line, err := json.Marshal(o)
	check(err)
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// --- the baseline ------------------------------------------------------------

type constant struct{}

var decision = metadata.Pairs("gpu-scaler-decision", "12345")

func (constant) IsActive(ctx context.Context, r *pb.ScaledObjectRef) (*pb.IsActiveResponse, error) {
	grpc.SetHeader(ctx, decision)
	return &pb.IsActiveResponse{Result: true}, nil
}

func (constant) StreamIsActive(r *pb.ScaledObjectRef, s pb.ExternalScaler_StreamIsActiveServer) error {
	if err := s.Send(&pb.IsActiveResponse{Result: true}); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}

func (constant) GetMetricSpec(ctx context.Context, r *pb.ScaledObjectRef) (*pb.GetMetricSpecResponse, error) {
	return &pb.GetMetricSpecResponse{MetricSpecs: []*pb.MetricSpec{{MetricName: "gpu-demand", TargetSize: 100, TargetSizeFloat: 100}}}, nil
}

func (constant) GetMetrics(ctx context.Context, r *pb.GetMetricsRequest) (*pb.GetMetricsResponse, error) {
	grpc.SetHeader(ctx, decision)
	return &pb.GetMetricsResponse{MetricValues: []*pb.MetricValue{
		{MetricName: r.MetricName, MetricValue: 300, MetricValueFloat: 300}}}, nil
}

func (constant) StreamMetricSpec(r *pb.ScaledObjectRef, s pb.ExternalScaler_StreamMetricSpecServer) error {
	<-s.Context().Done()
	return nil
}

func serve(o *options) {
	listener, err := net.Listen("tcp", o.address)
	check(err)
	server := grpc.NewServer()
	pb.RegisterExternalScalerServer(server, constant{})
	check(server.Serve(listener))
}

func untilStdinCloses(then func()) {
	io.Copy(io.Discard, os.Stdin)
	then()
}

// --- load --------------------------------------------------------------------

// cpuSeconds is user and system time of a process and its threads.
func cpuSeconds(pid int) float64 {
	if pid == 0 {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(err)
	// The name in parentheses may hold spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func invoke(client pb.ExternalScalerClient, o *options, i int64) error {
	var err error
	ctx := context.Background()
	ref := o.reference(i)
	switch o.method {
	case "IsActive":
		_, err = client.IsActive(ctx, ref)
	case "GetMetricSpec":
		_, err = client.GetMetricSpec(ctx, ref)
	default:
		_, err = client.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: ref, MetricName: o.metric})
	}
	return err
}

func load(o *options) {
	conn := dial(o.address)
	client := pb.NewExternalScalerClient(conn)

	opened := make(chan error, o.streams)
	for i := 0; i < o.streams; i++ {
		go func(i int) {
			stream, err := client.StreamIsActive(context.Background(), o.reference(int64(i)))
			if err == nil {
				_, err = stream.Recv()
			}
			opened <- err
			for err == nil {
				_, err = stream.Recv()
			}
		}(i)
	}
	for i := 0; i < o.streams; i++ {
		check(<-opened)
	}

	const warming, measuring, over = 0, 1, 2
	var phase int32
	var number int64
	var all sync.WaitGroup
	latencies := make([][]float64, o.concurrency)
	results := make([]map[codes.Code]int, o.concurrency)
	for c := 0; c < o.concurrency; c++ {
		all.Add(1)
		results[c] = map[codes.Code]int{}
		latencies[c] = make([]float64, 0, 1<<14)
		go func(c int) {
			defer all.Done()
			for {
				before := atomic.LoadInt32(&phase)
				if before == over {
					return
				}
				start := time.Now()
				err := invoke(client, o, atomic.AddInt64(&number, 1))
				elapsed := time.Since(start)
				if before == measuring && atomic.LoadInt32(&phase) == measuring {
					latencies[c] = append(latencies[c], float64(elapsed.Nanoseconds())/1000)
					results[c][status.Code(err)]++
				}
			}
		}(c)
	}
	time.Sleep(time.Duration(o.warmup * float64(time.Second)))
	server, driver, start := cpuSeconds(o.pid), cpuSeconds(os.Getpid()), time.Now()
	atomic.StoreInt32(&phase, measuring)
	time.Sleep(time.Duration(o.seconds * float64(time.Second)))
	atomic.StoreInt32(&phase, over)
	elapsed := time.Since(start).Seconds()
	server, driver = cpuSeconds(o.pid)-server, cpuSeconds(os.Getpid())-driver
	all.Wait()

	merged := []float64{}
	counts := map[string]int{}
	for c := range latencies {
		merged = append(merged, latencies[c]...)
		for code, n := range results[c] {
			counts[code.String()] += n
		}
	}
	sort.Float64s(merged)
	at := func(p float64) float64 {
		if len(merged) == 0 {
			return 0
		}
		return merged[int(p*float64(len(merged)-1))]
	}
	emit(map[string]interface{}{"calls": len(merged), "codes": counts, "seconds": elapsed,
		"perSecond": float64(len(merged)) / elapsed, "p50Us": at(0.5), "p99Us": at(0.99), "maxUs": at(1),
		"serverCpuSeconds": server, "driverCpuSeconds": driver, "streams": o.streams})
}

// --- hostile clients ---------------------------------------------------------

func flood(o *options) {
	var number, done int64
	var lock sync.Mutex
	counts := map[string]int{}
	begin := time.Now()
	report := func(event string) {
		lock.Lock()
		copied := map[string]int{}
		for k, v := range counts {
			copied[k] = v
		}
		lock.Unlock()
		emit(map[string]interface{}{"event": event, "done": atomic.LoadInt64(&done), "codes": copied,
			"seconds": time.Since(begin).Seconds()})
	}
	var all sync.WaitGroup
	perConnection := (o.concurrency + o.connections - 1) / o.connections
	for n := 0; n < o.connections; n++ {
		conn := dial(o.address)
		client := pb.NewExternalScalerClient(conn)
		for c := 0; c < perConnection; c++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for {
					i := atomic.AddInt64(&number, 1)
					if i > o.count {
						return
					}
					var err error
					if o.method == "StreamIsActive" {
						_, err = openStream(conn, o.reference(i), o.streamDeadline)
					} else {
						err = invoke(client, o, i)
					}
					atomic.AddInt64(&done, 1)
					lock.Lock()
					counts[status.Code(err).String()]++
					lock.Unlock()
				}
			}()
		}
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	for running := true; running; {
		select {
		case <-finished:
			running = false
		case <-time.After(time.Second):
			report("progress")
		}
	}
	report("done")
	if o.hold {
		untilStdinCloses(func() {})
	}
}

// openStream sends the request and receives nothing: whether the server has
// taken the stream is told by the next call that has to wait for a slot.
func openStream(conn *grpc.ClientConn, ref *pb.ScaledObjectRef, deadline time.Duration) (grpc.ClientStream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	_ = cancel
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/externalscaler.ExternalScaler/StreamIsActive")
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(ref); err != nil && err != io.EOF {
		return nil, err
	}
	return stream, stream.CloseSend()
}

func main() {
	if len(os.Args) < 2 || os.Args[1] == "--help" {
		fmt.Print(usage)
		return
	}
	o := &options{}
	f := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	f.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	f.StringVar(&o.address, "address", "", "")
	f.StringVar(&o.namespace, "namespace", "genai", "")
	f.StringVar(&o.name, "name", "workers", "")
	f.StringVar(&o.metric, "metric", "gpu-demand", "")
	f.StringVar(&o.method, "method", "GetMetrics", "")
	f.Var(&o.meta, "meta", "")
	f.IntVar(&o.pid, "pid", 0, "")
	f.IntVar(&o.streams, "streams", 0, "")
	f.IntVar(&o.concurrency, "concurrency", 64, "")
	f.IntVar(&o.connections, "connections", 1, "")
	f.Int64Var(&o.count, "count", 1, "")
	f.Float64Var(&o.seconds, "seconds", 5, "")
	f.Float64Var(&o.warmup, "warmup", 2, "")
	f.IntVar(&o.padding, "padding", 0, "")
	f.DurationVar(&o.streamDeadline, "stream-deadline", time.Hour, "")
	f.BoolVar(&o.hold, "hold", false, "")
	check(f.Parse(os.Args[2:]))
	switch os.Args[1] {
	case "serve":
		serve(o)
	case "load":
		load(o)
	case "flood":
		flood(o)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
