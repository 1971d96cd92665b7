package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// healthLimit is how long a mount may take to answer before it counts as ill.
	healthLimit = 5 * time.Second
	// slowClient is how long a request for metrics may take to arrive.
	slowClient = 10 * time.Second
)

// listenMetrics opens the address for metrics, nil for "".
func listenMetrics(addr string, log *slog.Logger) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	if !isLoopback(l) {
		log.Warn("metrics are open to whoever can reach the address; profiles are not served there", "address", l.Addr())
	}
	return l, nil
}

func isLoopback(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// serveMetrics answers on l, until ctx ends: /metrics for Prometheus; /healthz,
// which has the status 200 unless the mount is known not to answer; and the profiles
// of net/http/pprof, which are for this host only.
func (m *mounted) serveMetrics(ctx context.Context, l net.Listener, answers func(context.Context) error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Metrics(), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthLimit)
		defer cancel()
		if err := answers(ctx); err != nil && !errors.Is(err, errUnasked) {
			http.Error(w, "the mount does not answer: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, m.status())
	})
	if isLoopback(l) {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	s := &http.Server{
		Handler: mux, ReadTimeout: slowClient, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); ctx.Err() == nil {
		m.log.Error("metrics are not served any more", "err", err)
	}
}
