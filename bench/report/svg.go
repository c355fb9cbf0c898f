package report

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/andrestc/go-plugserver/bench/run"
	"github.com/andrestc/go-plugserver/bench/stats"
)

// The measures of a plot, in pixels.
const (
	columns  = 3
	names    = 110 // of the peers
	axis     = 190
	figures  = 50
	panel    = names + axis + figures
	line     = 15
	titled   = 34 // above the lines of a panel
	heading  = 40
	distance = 24
)

// plot draws a panel per work, a line per peer: the median of the ratios as a
// dot, from the least to the greatest as a line, on a logarithmic scale.
func (r *Report) plot(title string, of func(row, compiled run.Row) stats.Summary) string {
	low, high := 1.0, 1.0
	for _, res := range r.Results {
		for _, row := range res.Rows {
			s := of(row, res.Rows[0])
			low, high = min(low, s.Min), max(high, s.Max)
		}
	}
	low, high = max(math.Floor(math.Log10(low)), -3), min(math.Ceil(math.Log10(high)), 3)
	x := func(v float64) float64 {
		return names + axis*(min(max(math.Log10(v), low), high)-low)/(high-low)
	}
	tall := titled + line*len(r.Peers) + distance
	rows := (len(r.Results) + columns - 1) / columns
	width, height := columns*(panel+distance), heading+rows*tall
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n"+`<text x="8" y="22" font-size="15">%s</text>`+"\n", html.EscapeString(title))
	for i, res := range r.Results {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", 8+i%columns*(panel+distance), heading+i/columns*tall)
		fmt.Fprintf(&b, `<text x="0" y="12" font-weight="bold">%s</text>`+"\n", html.EscapeString(res.Work.Name))
		bottom := titled + line*len(res.Rows)
		for d := low; d <= high; d++ {
			at := x(math.Pow(10, d))
			fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/><text x="%.1f" y="%d" fill="#666" text-anchor="middle" font-size="9">%g</text>`+"\n",
				at, titled-8, at, bottom, stroke(d), at, titled-11, math.Pow(10, d))
		}
		for n, row := range res.Rows {
			s, y := of(row, res.Rows[0]), titled+line*n+line/2
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, names-6, y+4, html.EscapeString(row.Peer))
			fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="2"/>`, x(s.Min), y, x(s.Max), y, colour(row.Peer))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%d" r="4" fill="%s"/>`, x(s.Median), y, colour(row.Peer))
			fmt.Fprintf(&b, `<text x="%d" y="%d">%.2f</text>`+"\n", names+axis+8, y+4, s.Median)
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// stroke is the colour of the line at a power of ten; compiled in is at 0.
func stroke(power float64) string {
	if power == 0 {
		return "#888"
	}
	return "#ddd"
}

func colour(peer string) string {
	switch peer {
	case run.Compiled:
		return "#888"
	case "plugserver":
		return "#c0392b"
	case "base":
		return "#e59866"
	}
	return "#2e6da4"
}
