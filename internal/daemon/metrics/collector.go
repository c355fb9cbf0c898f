package metrics

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/prometheus/client_golang/prometheus"
)

// collector tells what others have counted.
type collector struct{ cfg Config }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What is told of handlers. Names and buckets of the first are OpenTelemetry's.
var (
	duration = desc("http_server_request_duration_seconds", "Time that a handler took for a request, from its head on, by the class of the answer's status.", "handler", "code")
	requests = desc("plugserver_requests_total", "Requests that a handler has ended.", "handler", "method", "code")
	inFlight = desc("plugserver_requests_in_flight", "Requests that a handler is serving.", "handler")
	lost     = desc("plugserver_requests_lost_total", "Requests that a handler was serving when its process ended.", "handler")
	bytesIn  = desc("plugserver_request_body_bytes_total", "Bytes of the bodies of a handler's requests.", "handler")
	bytesOut = desc("plugserver_response_body_bytes_total", "Bytes of the bodies of a handler's answers.", "handler")
	restarts = desc("plugserver_handler_restarts_total", "Restarts of a handler's process after a death.", "handler")
	stands   = desc("plugserver_handlers", "Handlers by how they stand.", "state")
	weight   = desc("plugserver_canary_weight", "What part of its incumbent's requests a canary has; what it does with them stands under its own name.", "handler")
	occurred = desc("plugserver_events_total", "Events, as the log has them; those of no single handler have an empty label.", "event", "handler")
)

// What is told of cells. One that handlers share has the group's name.
var (
	cellMemory      = desc("plugserver_cell_memory_bytes", "Memory of a cell, where what it shares counts in part.", "cell")
	cellPrivate     = desc("plugserver_cell_private_memory_bytes", "Memory that would be free if a cell ended.", "cell")
	cellCPU         = desc("plugserver_cell_cpu_seconds_total", "Processor time of a cell's process.", "cell")
	cellDescriptors = desc("plugserver_cell_open_fds", "Descriptors that a cell has open.", "cell")
	cellThreads     = desc("plugserver_cell_threads", "Threads of a cell.", "cell")
	cellGoroutines  = desc("plugserver_cell_goroutines", "Goroutines of a cell, the handler's among them.", "cell")
	cellConns       = desc("plugserver_cell_connections", "Client connections that a cell has.", "cell")
	cellLogDropped  = desc("plugserver_cell_log_dropped_total", "Log records of a cell's process that were dropped.", "cell")
)

// What is told of the desired states in registries that the handlers directory follows.
var (
	syncInfo     = desc("plugserver_sync_info", "Always 1: the digest that a sync found last under its reference.", "sync", "ref", "digest")
	syncAgreed   = desc("plugserver_sync_last_success_timestamp_seconds", "When what serves was last as the registry has it, in Unix time; 0 where it never was.", "sync")
	syncTried    = desc("plugserver_sync_last_attempt_timestamp_seconds", "When a sync was tried last, in Unix time.", "sync")
	syncRefused  = desc("plugserver_sync_refused_handlers", "Handlers that were in the way of the last attempt.", "sync")
	syncRefusals = desc("plugserver_sync_refusals_total", "Handlers that were refused in attempts.", "sync")
	syncFailures = desc("plugserver_sync_failures_total", "Attempts that came to no agreement, for whatever reason.", "sync")
	syncBytes    = desc("plugserver_sync_pulled_bytes_total", "Bytes of handlers that came from the registry.", "sync")
	syncDescs    = []*prometheus.Desc{syncInfo, syncAgreed, syncTried, syncRefused, syncRefusals, syncFailures, syncBytes}
)

// What is told of the gate, and of the daemon.
var (
	accepted   = desc("plugserver_gate_connections_accepted_total", "Client connections that were accepted.")
	moved      = desc("plugserver_gate_connections_moved_total", "Client connections that went from the gate to a cell.")
	gateConns  = desc("plugserver_gate_connections", "Client connections that the gate has.")
	routed     = desc("plugserver_gate_requests_total", "Requests that the gate has found a route for, or has answered itself.")
	held       = desc("plugserver_gate_requests_held_total", "Requests that had to wait for a handler that was not running.")
	answered   = desc("plugserver_gate_responses_total", "Answers of the gate's own, by status: 404 and 405 where no handler has the route, 503 where it does not run.", "code")
	up         = desc("plugserver_up", "1 where the supervisor says how all stand; 0 where it does not answer.")
	spares     = desc("plugserver_spare_cells", "Processes of cells that wait for what they are to run.")
	problem    = desc("plugserver_problem", "1 where something ails the daemon as a whole, such as a directory that cannot be read: see plugserverctl status.")
	logLost    = desc("plugserver_access_log_lines_lost_total", "Lines of the access log that could not be written, for a full disk or a reader that stands still.")
	expires    = desc("plugserver_certificate_expiry_timestamp_seconds", "When a certificate of TLS expires, in Unix time, by its file.", "file")
	allOfThese = []*prometheus.Desc{
		duration, requests, inFlight, lost, bytesIn, bytesOut, restarts, stands, weight, occurred,
		cellMemory, cellPrivate, cellCPU, cellDescriptors, cellThreads, cellGoroutines, cellConns, cellLogDropped,
		accepted, moved, gateConns, routed, held, answered, up, spares, problem, expires, logLost,
	}
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(allOfThese, syncDescs) {
		ch <- d
	}
}

// statusWait bounds the wait for the supervisor.
const statusWait = 5 * time.Second

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for name, s := range c.cfg.Sums.Handlers() {
		c.handler(ch, tell, name, s)
	}
	c.gate(tell)
	tell(logLost, prometheus.CounterValue, float64(c.cfg.Access.Lost()))
	for of, n := range c.cfg.Events.Counts() {
		tell(occurred, prometheus.CounterValue, float64(n), string(of.Event), of.Handler)
	}
	for _, s := range c.cfg.Syncs() {
		synced(tell, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusWait)
	defer cancel()
	st, err := c.cfg.Status(ctx)
	if err != nil {
		tell(up, prometheus.GaugeValue, 0)
		return
	}
	tell(up, prometheus.GaugeValue, 1)
	c.status(tell, st)
}

type teller = func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string)

// handler tells what was counted for one.
func (c *collector) handler(ch chan<- prometheus.Metric, tell teller, name string, s *sums.Sum) {
	tell(inFlight, prometheus.GaugeValue, float64(s.InFlight), name)
	tell(lost, prometheus.CounterValue, float64(s.Lost), name)
	tell(bytesIn, prometheus.CounterValue, float64(s.In), name)
	tell(bytesOut, prometheus.CounterValue, float64(s.Out), name)
	for code, word := range counter.Codes {
		var buckets [counter.Buckets]uint64
		for m, method := range counter.Methods {
			var n uint64
			for b, k := range s.Requests[m][code] {
				n += k
				buckets[b] += k
			}
			if n > 0 {
				tell(requests, prometheus.CounterValue, float64(n), name, method, word)
			}
		}
		count, cumulative := uint64(0), make(map[float64]uint64)
		for b, k := range buckets {
			count += k
			if b < len(counter.Bounds) {
				cumulative[counter.Bounds[b].Seconds()] = count
			}
		}
		if count > 0 {
			ch <- prometheus.MustNewConstHistogram(duration, count, float64(s.Nanos[code])/1e9, cumulative, name, word)
		}
	}
}

// synced tells of one.
func synced(tell teller, s api.Sync) {
	unix := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Unix())
	}
	tell(syncInfo, prometheus.GaugeValue, 1, s.Name, s.Ref, s.Digest)
	tell(syncAgreed, prometheus.GaugeValue, unix(s.Agreed), s.Name)
	tell(syncTried, prometheus.GaugeValue, unix(s.Tried), s.Name)
	tell(syncRefused, prometheus.GaugeValue, float64(len(s.Refused)), s.Name)
	tell(syncRefusals, prometheus.CounterValue, float64(s.Refusals), s.Name)
	tell(syncFailures, prometheus.CounterValue, float64(s.Failures), s.Name)
	tell(syncBytes, prometheus.CounterValue, float64(s.Bytes), s.Name)
}

func (c *collector) gate(tell teller) {
	g := c.cfg.Sums.Gate()
	tell(accepted, prometheus.CounterValue, float64(g.Accepted))
	tell(moved, prometheus.CounterValue, float64(g.Moved))
	tell(routed, prometheus.CounterValue, float64(g.Requests))
	tell(held, prometheus.CounterValue, float64(g.Held))
	for i, code := range counter.Answers {
		word := strconv.Itoa(code)
		if code == 0 {
			word = "_OTHER"
		}
		tell(answered, prometheus.CounterValue, float64(g.Answers[i]), word)
	}
}

// states are those that a handler may be in: each is told, with 0 too.
var states = []string{
	api.StateSeen, api.StateStarting, api.StateLive, api.StateCanary, api.StateWithdrawn, api.StatePromoted, api.StateCrashed, api.StateRefused, api.StateRolledBack, api.StateQuarantined, api.StateDisabled, api.StateRetiring,
}

func (c *collector) status(tell teller, st api.Status) {
	tell(gateConns, prometheus.GaugeValue, float64(st.Daemon.GateConns))
	tell(spares, prometheus.GaugeValue, float64(len(st.Daemon.Spares)))
	ails := 0.0
	if st.Daemon.Problem != "" {
		ails = 1
	}
	tell(problem, prometheus.GaugeValue, ails)
	files := make(map[string]bool)
	for _, crt := range st.Daemon.Certificates {
		if !files[crt.File] {
			files[crt.File] = true
			tell(expires, prometheus.GaugeValue, float64(crt.NotAfter.Unix()), crt.File)
		}
	}
	in, told, again := make(map[string]int), make(map[string]bool), make(map[string]bool)
	for _, h := range st.Handlers {
		in[h.State]++
		if h.State != api.StateRetiring && h.State != api.StateSeen && h.State != api.StateDisabled && !again[h.Name] {
			again[h.Name] = true
			tell(restarts, prometheus.CounterValue, float64(h.Restarts), h.Name)
		}
		if h.Canary != nil {
			tell(weight, prometheus.GaugeValue, h.Canary.Weight, h.Name)
		}
		cell := h.Name
		if h.Group != "" {
			cell = h.Group
		}
		if h.PID != 0 && h.State != api.StateRetiring && !told[cell] {
			told[cell] = true
			c.cell(tell, cell, h)
		}
	}
	for _, s := range states {
		tell(stands, prometheus.GaugeValue, float64(in[s]), s)
	}
}

func (c *collector) cell(tell teller, cell string, h api.Handler) {
	tell(cellMemory, prometheus.GaugeValue, float64(h.MemoryBytes), cell)
	tell(cellPrivate, prometheus.GaugeValue, float64(h.PrivateBytes), cell)
	tell(cellCPU, prometheus.CounterValue, h.CPUSeconds, cell)
	tell(cellDescriptors, prometheus.GaugeValue, float64(h.Descriptors), cell)
	tell(cellThreads, prometheus.GaugeValue, float64(h.Threads), cell)
	tell(cellGoroutines, prometheus.GaugeValue, float64(h.Goroutines), cell)
	tell(cellConns, prometheus.GaugeValue, float64(h.Conns), cell)
	tell(cellLogDropped, prometheus.CounterValue, float64(h.LogDropped), cell)
}
