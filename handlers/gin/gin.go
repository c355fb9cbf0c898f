// A handler that is Gin's engine: its patterns, groups and middleware, below the one path
// that this handler has of the server.
package main

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
)

// Handlers gives the engine all that is at or below /shop. It sees each request's whole path.
func Handlers() map[string]http.Handler {
	e := engine()
	return map[string]http.Handler{"/shop": e, "/shop/": e}
}

func engine() http.Handler {
	gin.SetMode(gin.ReleaseMode) // else it prints its patterns
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(gin.Recovery(), func(c *gin.Context) { c.Header("Content-Language", "en") })
	shop := e.Group("/shop")
	shop.GET("", func(c *gin.Context) { c.JSON(http.StatusOK, goods) })
	shop.GET("/:id", one)
	shop.POST("/:id/orders", order)
	return e
}

type good struct {
	ID, Name string
	Price    int // in cents
}

var goods = []good{{"1", "Tea", 250}, {"2", "Coffee", 300}}

func one(c *gin.Context) {
	if i := place(c); i >= 0 {
		c.JSON(http.StatusOK, goods[i])
	}
}

func order(c *gin.Context) {
	var o struct {
		Count int `json:"count" binding:"min=1"`
	}
	i := place(c)
	switch {
	case i < 0:
	case c.ShouldBindJSON(&o) != nil:
		c.String(http.StatusBadRequest, "how many?")
	default:
		c.JSON(http.StatusCreated, gin.H{"name": goods[i].Name, "total": o.Count * goods[i].Price})
	}
}

// place returns where the good is that the path names. It answers where there is none, -1.
func place(c *gin.Context) int {
	i := slices.IndexFunc(goods, func(g good) bool { return g.ID == c.Param("id") })
	if i < 0 {
		c.String(http.StatusNotFound, "no such good")
	}
	return i
}

func main() {}
