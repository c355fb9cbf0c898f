// A handler that is an Echo, the framework of LabStack: its patterns, groups and middleware,
// below the one path that this handler has of the server.
package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// Handlers gives the Echo all that is at or below /notes. It sees each request's whole path.
func Handlers() map[string]http.Handler {
	e := newEcho()
	return map[string]http.Handler{"/notes": e, "/notes/": e}
}

func newEcho() http.Handler {
	e := echo.New()
	e.Use(middleware.RequestID(), middleware.Recover())
	notes := e.Group("/notes")
	notes.GET("", func(c echo.Context) error { return c.JSON(http.StatusOK, texts) })
	notes.GET("/:name", one)
	notes.POST("/checks", check)
	return e
}

var texts = map[string]string{"ada": "The Analytical Engine weaves", "grace": "A ship in port is safe"}

func one(c echo.Context) error {
	text, ok := texts[c.Param("name")]
	if !ok {
		return echo.NewHTTPError(http.StatusNotFound, "no such note")
	}
	return c.String(http.StatusOK, text)
}

// check says how long a text is.
func check(c echo.Context) error {
	var note struct {
		Text string `json:"text"`
	}
	if err := c.Bind(&note); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]int{"bytes": len(note.Text)})
}

func main() {}
