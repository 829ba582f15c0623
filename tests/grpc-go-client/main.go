// grpc-go-client speaks to the scaler with the library and the dial options
// that KEDA uses, and reports what it saw as one JSON object a line. The C#
// integration tests drive it: what the server's own code believes about the
// wire proves nothing.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	pb "externalscaler"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

const usage = `usage: grpc-go-client COMMAND --address HOST:PORT[,HOST:PORT] [flags]

Prints one JSON object a line and exits 0 whatever the server answered; 2 means
wrong usage. Two addresses are balanced round robin, as KEDA does.

commands
  call     unary calls, one line each:
             {"call","code","message","response","raw","headers","trailers","elapsedMs"}
  pairs    pairs of GetMetrics then IsActive, as in one KEDA poll, one line each:
             {"pair","metrics":{...},"active":{...}}, decision being the header
             gpu-scaler-decision
  poll     such pairs one after the other, with {"event":"pair"} and atMs, the
           time before the first half
  streams  opens streams on one connection, then makes unary calls beside them:
             {"event":"opened"}, {"event":"unary"}, {"event":"closed"}
  watch    opens one stream and prints what comes:
             {"event":"headers"}, {"event":"message"}, {"event":"end"}, with atMs
  stuck    opens streams and never receives: {"event":"opened"}
  health   grpc.health.v1 Check, or Watch with --watch
  reflect  lists services, or finds the file of --symbol (v1alpha)

poll, streams without --hold, watch without --for, stuck and health --watch last
until stdin is closed (or the stream ends).

flags of every command
  --tls                  speak TLS, as KEDA does with enableTLS
  --ca FILE              trust these authorities and no others (KEDA: caCert)
  --cert FILE --key FILE show this certificate (KEDA: tlsClientCert, tlsClientKey)
  --server-name NAME     the name to find in the server's certificate, instead of
                         the address's host
flags of every command that names a workload; {i} in --namespace, --name and
--meta values stands for the number of the call, pair or stream
  --namespace NS  --name NAME  --meta KEY=VALUE (repeatable)
  --metric NAME          metric asked for by GetMetrics (default gpu-demand)
  --deadline DURATION    per unary call; 0, the default, is none, as in KEDA
  --gzip                 compress requests
  --header KEY=VALUE     request header (repeatable)
flags of single commands
  call     --method M    IsActive, GetMetricSpec, GetMetrics, or any other name
                         or /full/path, sent with a ScaledObjectRef
           --count N --concurrency C
           --no-ref      GetMetrics without its scaledObjectRef
           --payload HEX send these bytes as the message
  pairs    --count N --concurrency C
           --spread DURATION  start the pairs evenly over this time
  poll     --every DURATION  from the start of one pair to the next (default 200ms)
  streams  --method M    StreamIsActive (default) or StreamMetricSpec
           --count N
           --first-within DURATION  wait this long for every first message (default 1s)
           --unary M --unary-method M --concurrency C
           --hold DURATION
  watch    --method M --for DURATION
  stuck    --method M --count N
  health   --service S --watch
  reflect  --symbol S
`

// --- flags -------------------------------------------------------------------

type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, ",") }
func (r *repeated) Set(v string) error { *r = append(*r, v); return nil }

type options struct {
	address, namespace, name, metric, method, unaryMethod, payload, service, symbol string
	meta, headers                                                                   repeated
	deadline, spread, every, firstWithin, hold, watchFor                            time.Duration
	count, concurrency, unary                                                       int
	ca, cert, key, serverName                                                       string
	gzip, noRef, watch, tls                                                         bool
}

func parse(command string, args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.address, "address", "", "")
	f.StringVar(&o.namespace, "namespace", "", "")
	f.StringVar(&o.name, "name", "", "")
	f.StringVar(&o.metric, "metric", "gpu-demand", "")
	f.StringVar(&o.method, "method", "", "")
	f.StringVar(&o.unaryMethod, "unary-method", "IsActive", "")
	f.StringVar(&o.payload, "payload", "", "")
	f.StringVar(&o.service, "service", "", "")
	f.StringVar(&o.symbol, "symbol", "", "")
	f.Var(&o.meta, "meta", "")
	f.Var(&o.headers, "header", "")
	f.DurationVar(&o.deadline, "deadline", 0, "")
	f.DurationVar(&o.spread, "spread", 0, "")
	f.DurationVar(&o.every, "every", 200*time.Millisecond, "")
	f.DurationVar(&o.firstWithin, "first-within", time.Second, "")
	f.DurationVar(&o.hold, "hold", 0, "")
	f.DurationVar(&o.watchFor, "for", 0, "")
	f.IntVar(&o.count, "count", 1, "")
	f.IntVar(&o.concurrency, "concurrency", 0, "")
	f.IntVar(&o.unary, "unary", 0, "")
	f.BoolVar(&o.gzip, "gzip", false, "")
	f.BoolVar(&o.noRef, "no-ref", false, "")
	f.BoolVar(&o.watch, "watch", false, "")
	f.BoolVar(&o.tls, "tls", false, "")
	f.StringVar(&o.ca, "ca", "", "")
	f.StringVar(&o.cert, "cert", "", "")
	f.StringVar(&o.key, "key", "", "")
	f.StringVar(&o.serverName, "server-name", "", "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.address == "" {
		return nil, fmt.Errorf("--address is required")
	}
	for _, pair := range append(append([]string{}, o.meta...), o.headers...) {
		if !strings.Contains(pair, "=") {
			return nil, fmt.Errorf("%q is not KEY=VALUE", pair)
		}
	}
	if !o.tls && o.ca+o.cert+o.key+o.serverName != "" {
		return nil, fmt.Errorf("--ca, --cert, --key and --server-name go with --tls")
	}
	if (o.cert == "") != (o.key == "") {
		return nil, fmt.Errorf("--cert and --key go together")
	}
	if o.every <= 0 {
		return nil, fmt.Errorf("--every is above zero")
	}
	if o.count < 1 || o.concurrency < 0 || o.unary < 0 {
		return nil, fmt.Errorf("counts are positive")
	}
	if _, err := hex.DecodeString(o.payload); err != nil {
		return nil, fmt.Errorf("--payload: %v", err)
	}
	return o, nil
}

func (o *options) reference(i int) *pb.ScaledObjectRef {
	number := func(s string) string { return strings.ReplaceAll(s, "{i}", fmt.Sprint(i)) }
	ref := &pb.ScaledObjectRef{Namespace: number(o.namespace), Name: number(o.name)}
	for _, pair := range o.meta {
		kv := strings.SplitN(pair, "=", 2)
		if ref.ScalerMetadata == nil {
			ref.ScalerMetadata = map[string]string{}
		}
		ref.ScalerMetadata[kv[0]] = number(kv[1])
	}
	return ref
}

func (o *options) context() (context.Context, context.CancelFunc) {
	ctx := context.Background()
	for _, pair := range o.headers {
		kv := strings.SplitN(pair, "=", 2)
		ctx = metadata.AppendToOutgoingContext(ctx, kv[0], kv[1])
	}
	if o.deadline > 0 {
		return context.WithTimeout(ctx, o.deadline)
	}
	return context.WithCancel(ctx)
}

// security is KEDA's: its TLS configuration names nothing but the authorities,
// the certificate and the lowest version.
func (o *options) security() (grpc.DialOption, error) {
	if !o.tls {
		return grpc.WithInsecure(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.serverName}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", o.ca)
		}
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(config)), nil
}

func (o *options) dial() (*grpc.ClientConn, error) {
	security, err := o.security()
	if err != nil {
		return nil, err
	}
	// KEDA's, to the letter.
	dialOptions := []grpc.DialOption{
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`),
		security,
	}
	if o.gzip {
		dialOptions = append(dialOptions, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	target := o.address
	if addresses := strings.Split(o.address, ","); len(addresses) > 1 {
		builder := manual.NewBuilderWithScheme("list")
		state := resolver.State{}
		for _, address := range addresses {
			state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
		}
		builder.InitialState(state)
		dialOptions = append(dialOptions, grpc.WithResolvers(builder))
		target = "list:///scaler"
	}
	return grpc.Dial(target, dialOptions...)
}

// --- the bytes of messages ---------------------------------------------------

// message keeps the bytes of a reply as they came. Marshalling the parsed reply
// again would hide a difference that the server made.
type message struct {
	parsed proto.Message
	raw    []byte
}

// bytesOnly is a message given as bytes, to send what no generator would write
// and to receive what no generated type describes.
type bytesOnly []byte

type keepingCodec struct{ proto encoding.Codec }

func (c keepingCodec) Marshal(v interface{}) ([]byte, error) {
	if raw, ok := v.(bytesOnly); ok {
		return raw, nil
	}
	return c.proto.Marshal(v)
}

func (c keepingCodec) Unmarshal(data []byte, v interface{}) error {
	m, ok := v.(*message)
	if !ok {
		return c.proto.Unmarshal(data, v)
	}
	m.raw = append([]byte{}, data...)
	if m.parsed == nil {
		return nil
	}
	return c.proto.Unmarshal(data, m.parsed)
}

// The default codec's name, so that the content type stays the one KEDA sends.
func (c keepingCodec) Name() string { return "proto" }

func init() { encoding.RegisterCodec(keepingCodec{encoding.GetCodec("proto")}) }

// number is a double that JSON can carry even when it should never have been sent.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	switch s := fmt.Sprint(float64(n)); s {
	case "NaN":
		return []byte(`"NaN"`), nil
	case "+Inf":
		return []byte(`"Infinity"`), nil
	case "-Inf":
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(float64(n))
	}
}

type object map[string]interface{}

// describe spells out every field, zeros included: whether int and float agree
// is the question.
func describe(m proto.Message) interface{} {
	switch r := m.(type) {
	case *pb.IsActiveResponse:
		return object{"result": r.GetResult()}
	case *pb.GetMetricSpecResponse:
		specs := []object{}
		for _, s := range r.GetMetricSpecs() {
			specs = append(specs, object{"metricName": s.GetMetricName(),
				"targetSize": s.GetTargetSize(), "targetSizeFloat": number(s.GetTargetSizeFloat())})
		}
		return object{"metricSpecs": specs}
	case *pb.GetMetricsResponse:
		values := []object{}
		for _, v := range r.GetMetricValues() {
			values = append(values, object{"metricName": v.GetMetricName(),
				"metricValue": v.GetMetricValue(), "metricValueFloat": number(v.GetMetricValueFloat())})
		}
		return object{"metricValues": values}
	default:
		return nil
	}
}

// --- output ------------------------------------------------------------------

var (
	started = time.Now()
	output  sync.Mutex
)

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func now() float64                         { return milliseconds(time.Since(started)) }

func emit(o object) {
	line, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// codeName is the name of the specification, NOT_FOUND as NotFound.
func codeName(err error) (string, string) {
	s := status.Convert(err)
	return s.Code().String(), s.Message()
}

func stdinClosed() <-chan struct{} {
	closed := make(chan struct{})
	go func() {
		io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		close(closed)
	}()
	return closed
}

// --- unary calls -------------------------------------------------------------

const service = "/externalscaler.ExternalScaler/"

type outcome struct {
	message
	err               error
	headers, trailers metadata.MD
	elapsed           time.Duration
}

func (r *outcome) decision() string {
	if values := r.headers.Get("gpu-scaler-decision"); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (o *options) invoke(conn *grpc.ClientConn, method string, i int) *outcome {
	r := &outcome{}
	var request interface{} = o.reference(i)
	switch method {
	case "IsActive":
		r.parsed = &pb.IsActiveResponse{}
	case "GetMetricSpec":
		r.parsed = &pb.GetMetricSpecResponse{}
	case "GetMetrics":
		r.parsed = &pb.GetMetricsResponse{}
		metrics := &pb.GetMetricsRequest{MetricName: o.metric}
		if !o.noRef {
			metrics.ScaledObjectRef = o.reference(i)
		}
		request = metrics
	}
	if o.payload != "" {
		raw, _ := hex.DecodeString(o.payload)
		request = bytesOnly(raw)
	}
	if !strings.HasPrefix(method, "/") {
		method = service + method
	}
	ctx, cancel := o.context()
	defer cancel()
	start := time.Now()
	r.err = conn.Invoke(ctx, method, request, &r.message, grpc.Header(&r.headers), grpc.Trailer(&r.trailers))
	r.elapsed = time.Since(start)
	return r
}

// each runs work(0..count-1) with at most concurrency at a time, the start of
// each no earlier than its share of spread.
func each(count, concurrency int, spread time.Duration, work func(i int)) {
	if concurrency < 1 {
		concurrency = 1
	}
	slots := make(chan struct{}, concurrency)
	begin := time.Now()
	var all sync.WaitGroup
	for i := 0; i < count; i++ {
		time.Sleep(time.Until(begin.Add(spread * time.Duration(i) / time.Duration(count))))
		slots <- struct{}{}
		all.Add(1)
		go func(i int) {
			defer func() { <-slots; all.Done() }()
			work(i)
		}(i)
	}
	all.Wait()
}

func call(o *options, conn *grpc.ClientConn) {
	method := o.method
	if method == "" {
		method = "IsActive"
	}
	each(o.count, o.concurrency, 0, func(i int) {
		r := o.invoke(conn, method, i)
		code, text := codeName(r.err)
		line := object{"call": i, "code": code, "message": text, "raw": hex.EncodeToString(r.raw),
			"headers": r.headers, "trailers": r.trailers, "elapsedMs": milliseconds(r.elapsed)}
		if r.err == nil {
			line["response"] = describe(r.parsed)
		}
		emit(line)
	})
}

func (o *options) pair(conn *grpc.ClientConn, i int) (metrics, active object) {
	half := func(method string) (*outcome, object) {
		r := o.invoke(conn, method, i)
		code, text := codeName(r.err)
		return r, object{"code": code, "message": text, "decision": r.decision(),
			"elapsedMs": milliseconds(r.elapsed)}
	}
	r, metrics := half("GetMetrics")
	if values := r.parsed.(*pb.GetMetricsResponse).GetMetricValues(); r.err == nil && len(values) > 0 {
		metrics["value"] = values[0].GetMetricValue()
		metrics["valueFloat"] = number(values[0].GetMetricValueFloat())
	}
	r, active = half("IsActive")
	if r.err == nil {
		active["result"] = r.parsed.(*pb.IsActiveResponse).GetResult()
	}
	return metrics, active
}

func pairs(o *options, conn *grpc.ClientConn) {
	concurrency := o.concurrency
	if concurrency == 0 {
		concurrency = o.count
	}
	each(o.count, concurrency, o.spread, func(i int) {
		metrics, active := o.pair(conn, i)
		emit(object{"pair": i, "metrics": metrics, "active": active})
	})
}

func poll(o *options, conn *grpc.ClientConn) {
	closed := stdinClosed()
	ticker := time.NewTicker(o.every)
	defer ticker.Stop()
	for i := 0; ; i++ {
		at := now()
		metrics, active := o.pair(conn, i)
		emit(object{"event": "pair", "atMs": at, "pair": i, "metrics": metrics, "active": active})
		select {
		case <-closed:
			return
		case <-ticker.C:
		}
	}
}

// --- streams -----------------------------------------------------------------

func (o *options) open(ctx context.Context, conn *grpc.ClientConn, i int) (grpc.ClientStream, string, error) {
	method := o.method
	if method == "" {
		method = "StreamIsActive"
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, service+method)
	if err != nil {
		return nil, method, err
	}
	var request interface{} = o.reference(i)
	if o.payload != "" {
		raw, _ := hex.DecodeString(o.payload)
		request = bytesOnly(raw)
	}
	// io.EOF says that the server has already ended the stream; Recv knows how.
	if err := stream.SendMsg(request); err != nil && err != io.EOF {
		return nil, method, err
	}
	return stream, method, stream.CloseSend()
}

func receive(stream grpc.ClientStream, method string) (*message, error) {
	m := &message{}
	switch method {
	case "StreamIsActive":
		m.parsed = &pb.IsActiveResponse{}
	case "StreamMetricSpec":
		m.parsed = &pb.GetMetricSpecResponse{}
	}
	return m, stream.RecvMsg(m)
}

// endOf turns the end of a stream into a status: grpc-go says io.EOF for OK.
func endOf(err error) (string, string) {
	if err == io.EOF {
		return codes.OK.String(), ""
	}
	return codeName(err)
}

func streams(o *options, conn *grpc.ClientConn) {
	closed := stdinClosed()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var lock sync.Mutex
	var all, firsts sync.WaitGroup
	first, received, slowest := 0, 0, time.Duration(0)
	ended := map[string]int{}
	begin := time.Now()
	for i := 0; i < o.count; i++ {
		all.Add(1)
		firsts.Add(1)
		go func(i int) {
			defer all.Done()
			var once sync.Once
			defer once.Do(firsts.Done)
			opened := time.Now()
			stream, method, err := o.open(ctx, conn, i)
			for err == nil {
				if _, err = receive(stream, method); err != nil {
					break
				}
				lock.Lock()
				received++
				once.Do(func() {
					first++
					if d := time.Since(opened); d > slowest {
						slowest = d
					}
					firsts.Done()
				})
				lock.Unlock()
			}
			// What our own cancelling ends tells nothing about the server.
			if ctx.Err() == nil {
				code, _ := endOf(err)
				lock.Lock()
				ended[code]++
				lock.Unlock()
			}
		}(i)
	}
	everyFirst := make(chan struct{})
	go func() { firsts.Wait(); close(everyFirst) }()
	select {
	case <-everyFirst:
	case <-time.After(o.firstWithin):
	case <-closed:
	}
	lock.Lock()
	emit(object{"event": "opened", "streams": o.count, "first": first, "ended": ended,
		"slowestFirstMs": milliseconds(slowest), "elapsedMs": milliseconds(time.Since(begin))})
	lock.Unlock()

	if o.unary > 0 {
		latencies := make([]float64, o.unary)
		results := map[string]int{}
		each(o.unary, o.concurrency, 0, func(i int) {
			r := o.invoke(conn, o.unaryMethod, i)
			code, _ := codeName(r.err)
			lock.Lock()
			defer lock.Unlock()
			latencies[i] = milliseconds(r.elapsed)
			results[code]++
		})
		sort.Float64s(latencies)
		at := func(p float64) float64 { return latencies[int(p*float64(len(latencies)-1))] }
		emit(object{"event": "unary", "count": o.unary, "codes": results,
			"minMs": at(0), "p50Ms": at(0.5), "p99Ms": at(0.99), "maxMs": at(1)})
	}

	// Until told, until the time is over, or until the server has ended them all.
	over := make(<-chan time.Time)
	if o.hold > 0 {
		over = time.After(o.hold)
	}
	allEnded := make(chan struct{})
	go func() { all.Wait(); close(allEnded) }()
	select {
	case <-over:
	case <-closed:
	case <-allEnded:
	}
	lock.Lock()
	emit(object{"event": "closed", "received": received, "ended": ended, "atMs": now()})
	lock.Unlock()
}

func watch(o *options, conn *grpc.ClientConn) {
	closed := stdinClosed()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		stream, method, err := o.open(ctx, conn, 0)
		if err == nil {
			go func() {
				if headers, err := stream.Header(); err == nil {
					emit(object{"event": "headers", "atMs": now(), "headers": headers})
				}
			}()
		}
		for err == nil {
			var m *message
			if m, err = receive(stream, method); err == nil {
				emit(object{"event": "message", "atMs": now(), "response": describe(m.parsed),
					"raw": hex.EncodeToString(m.raw)})
			}
		}
		code, text := endOf(err)
		emit(object{"event": "end", "atMs": now(), "code": code, "message": text})
	}()
	wait(cancel, o.watchFor, closed, finished)
}

// wait cancels when the time is over or stdin is closed, and sees the end out.
func wait(cancel func(), limit time.Duration, closed <-chan struct{}, finished <-chan struct{}) {
	over := make(<-chan time.Time)
	if limit > 0 {
		over = time.After(limit)
	}
	select {
	case <-over:
	case <-closed:
	case <-finished:
	}
	cancel()
	<-finished
}

func stuck(o *options, conn *grpc.ClientConn) {
	closed := stdinClosed()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := 0
	kept := []grpc.ClientStream{}
	for i := 0; i < o.count; i++ {
		stream, _, err := o.open(ctx, conn, i)
		if err != nil {
			failed++
			continue
		}
		kept = append(kept, stream)
	}
	emit(object{"event": "opened", "streams": len(kept), "failed": failed, "atMs": now()})
	<-closed
}

// --- health and reflection ---------------------------------------------------

func health(o *options, conn *grpc.ClientConn) {
	client := healthpb.NewHealthClient(conn)
	request := &healthpb.HealthCheckRequest{Service: o.service}
	if !o.watch {
		ctx, cancel := o.context()
		defer cancel()
		response, err := client.Check(ctx, request)
		code, text := codeName(err)
		line := object{"event": "check", "code": code, "message": text}
		if err == nil {
			line["status"] = response.GetStatus().String()
		}
		emit(line)
		return
	}
	closed := stdinClosed()
	ctx, cancel := context.WithCancel(context.Background())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		stream, err := client.Watch(ctx, request)
		for err == nil {
			var response *healthpb.HealthCheckResponse
			if response, err = stream.Recv(); err == nil {
				emit(object{"event": "status", "atMs": now(), "status": response.GetStatus().String()})
			}
		}
		code, text := endOf(err)
		emit(object{"event": "end", "atMs": now(), "code": code, "message": text})
	}()
	wait(cancel, o.watchFor, closed, finished)
}

func reflection(o *options, conn *grpc.ClientConn) {
	ctx, cancel := o.context()
	defer cancel()
	request := &reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	}
	if o.symbol != "" {
		request.MessageRequest = &reflectionpb.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: o.symbol,
		}
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	var response *reflectionpb.ServerReflectionResponse
	if err == nil {
		err = stream.Send(request)
	}
	if err == nil || err == io.EOF {
		response, err = stream.Recv()
	}
	code, text := endOf(err)
	line := object{"event": "reflection", "code": code, "message": text}
	if err == nil {
		services, files := []string{}, []string{}
		for _, s := range response.GetListServicesResponse().GetService() {
			services = append(services, s.GetName())
		}
		for _, f := range response.GetFileDescriptorResponse().GetFileDescriptorProto() {
			files = append(files, hex.EncodeToString(f))
		}
		line["services"], line["files"] = services, files
		if e := response.GetErrorResponse(); e != nil {
			line["errorCode"], line["errorMessage"] = codes.Code(e.GetErrorCode()).String(), e.GetErrorMessage()
		}
	}
	emit(line)
}

func main() {
	commands := map[string]func(*options, *grpc.ClientConn){
		"call": call, "pairs": pairs, "poll": poll, "streams": streams, "watch": watch,
		"stuck": stuck, "health": health, "reflect": reflection,
	}
	fail := func(err error) {
		fmt.Fprintf(os.Stderr, "grpc-go-client: %v\n%s", err, usage)
		os.Exit(2)
	}
	if len(os.Args) < 2 {
		fail(fmt.Errorf("a command is required"))
	}
	if os.Args[1] == "--help" || os.Args[1] == "-h" || os.Args[1] == "help" {
		fmt.Print(usage)
		return
	}
	command, known := commands[os.Args[1]]
	if !known {
		fail(fmt.Errorf("unknown command %q", os.Args[1]))
	}
	o, err := parse(os.Args[1], os.Args[2:])
	if err == flag.ErrHelp {
		fmt.Print(usage)
		return
	}
	if err != nil {
		fail(err)
	}
	conn, err := o.dial()
	if err != nil {
		fail(err)
	}
	defer conn.Close()
	command(o, conn)
}
