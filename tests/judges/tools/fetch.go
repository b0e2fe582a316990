// Fetches the file with net/http as it comes.
package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	response, err := http.Get(os.Getenv("URL") + "/file.bin")
	if err != nil {
		panic(err)
	}
	got, err := os.Create("got")
	if err != nil {
		panic(err)
	}
	if _, err = io.Copy(got, response.Body); err != nil {
		panic(err)
	}
}
