package issue

import (
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// records is where the libraries' records go: to the supervisor, for --log-level=debug.
// What operators act on is told by Certified.
type records struct{ link *link.Conn }

func (r records) Write(p []byte) (int, error) {
	r.link.Send(link.Message{Kind: link.Log, Level: "debug", Text: strings.TrimSpace(string(p))})
	return len(p), nil
}

func logger(lc *link.Conn) *zap.Logger {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = zapcore.OmitKey
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(cfg), zapcore.AddSync(records{lc}), zap.InfoLevel))
}
