package observe

import (
	"context"
	"io"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Metrics prints how the service does.
var Metrics = cli.Command{
	Name:  "metrics",
	Tells: true,
	Short: "print how the service does, in the text format of Prometheus",
	Long:  "The daemon serves the same by HTTP with --admin-listen, see plugserverd(8).",
	Bind: cli.NoFlags(func(ctx context.Context, s *cli.Session) error {
		m, err := s.Client.Metrics(ctx)
		if err != nil {
			return err
		}
		if s.JSON {
			all, err := families(m.Text)
			if err != nil {
				return err
			}
			return terminal.WriteJSON(s.Out, struct {
				Metrics []family `json:"metrics"`
			}{all})
		}
		_, err = io.WriteString(s.Out, m.Text)
		return err
	}),
}
