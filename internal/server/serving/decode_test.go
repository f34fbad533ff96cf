package serving

import (
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/api/openai"
)

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for body, want := range map[string]string{
		`{"n":1,"n":2}`:                            `|the request body is not valid JSON: duplicate object member name at n`,
		`{"stop":["a"],"stop":"b"}`:                `|the request body is not valid JSON: duplicate object member name at stop`,
		`{"messages":[{"role":"a","role":"b"}]}`:   `|the request body is not valid JSON: duplicate object member name at messages[0].role`,
		"{\"user\":\"\xff\"}":                      `|the request body is not valid JSON: invalid UTF-8 at user`,
		`{"n":1.5}`:                                `n|n must be an integer, not a fraction`,
		`{"n":"2"}`:                                `n|n must be an integer, not a string`,
		`{"n":99999999999999999999}`:               `n|n is out of range: it must be an integer that this server can hold`,
		`{"stop_token_ids":[2147483648]}`:          `stop_token_ids[0]|stop_token_ids[0] is out of range: it must be an integer that this server can hold`,
		`{"stop_token_ids":[5,null]}`:              `stop_token_ids[1]|stop_token_ids[1] must be an integer, not null`,
		`{"bad_words":[null]}`:                     `bad_words[0]|bad_words[0] must be a string, not null`,
		`{"bad_words":"word"}`:                     `bad_words|bad_words must be an array, not a string`,
		`{"temperature":"hot"}`:                    `temperature|temperature must be a number, not a string`,
		`{"temperature":1e400}`:                    `temperature|temperature is out of range: it must be a number that this server can hold`,
		`{"stream":"yes"}`:                         `stream|stream must be true or false, not a string`,
		`{"stop":[5]}`:                             `stop|stop must be a string or an array of strings`,
		`{"stream_options":{"include_usage":1}}`:   `stream_options.include_usage|stream_options.include_usage must be true or false, not a number`,
		`{"stream_options":[]}`:                    `stream_options|stream_options must be an object, not an array`,
		`[]`:                                       `|the request body must be a JSON object, not an array`,
		`null`:                                     `|the request body must be a JSON object, not null`,
		`{"n":1} {}`:                               `|the request body is not valid JSON: something follows the object`,
		`{"n":1`:                                   `|the request body is not valid JSON: it ends too early`,
		`{"n":1,}`:                                 `|the request body is not valid JSON: `,
		`{"` + long + `":1,"` + long + `":1}`:      `|the request body is not valid JSON: duplicate object member name at xxx`,
		`{"` + long + `":"` + "\xff" + long + `"}`: `|the request body is not valid JSON: invalid UTF-8 at xxx`,
		`{"mirostat":2}`:                           `mirostat|mirostat is not supported by this server: leave it out`,
	} {
		var r openai.ChatRequest
		err := decode([]byte(body), &r, OnChat)
		if err == nil || err.Status != 400 || !strings.HasPrefix(err.Param+"|"+err.Message, want) || len(err.Message) > 250 {
			t.Errorf("%.60s: got %+v, want %s", body, err, want)
		}
	}
}

func TestDecodeReads(t *testing.T) {
	var r openai.ChatRequest
	body := `{"n":2.0,"seed":1e3,"N":7,"TEMPERATURE":9,"Stop":"x","whatever":{"a":[null]},"temperature":null,"stop":["a","b"],"stream":null,` +
		`"mirostat":0.0,"tools":[ ],"response_format":{ "type": "text" },"best_of":null,"logit_bias":{"5":1}}`
	if err := decode([]byte(body), &r, OnChat); err != nil {
		t.Fatal(err)
	}
	if *r.N != 2 || *r.Seed != 1000 || r.Temperature != nil || len(r.Stop) != 2 || string(r.LogitBias) != `{"5":1}` {
		t.Errorf("got %+v", r)
	}
	var c llamaserver.CompletionRequest
	if err := decode([]byte(`{"stop":"one","prompt":[1,"x"]}`), &c, OnCompletion); err != nil || len(c.Stop) != 1 || c.Stop[0] != "one" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestPromptForms(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"prompt":[1,2]}`: true, `{"prompt":[[1],[2]]}`: true, `{"prompt":["a","b"]}`: true, `{"prompt":"a"}`: true,
		`{"prompt":[null]}`: false, `{"prompt":[1,null]}`: false, `{"prompt":[[1,null]]}`: false, `{"prompt":[[1],null]}`: false,
		`{"prompt":["a",null]}`: false, `{"prompt":[1,"a"]}`: false, `{"prompt":[[1],"a"]}`: false, `{"prompt":{}}`: false, `{"prompt":[1.5]}`: false,
	} {
		var r openai.CompletionRequest
		if err := decode([]byte(body), &r, OnText); (err == nil) != ok || err != nil && err.Param != "prompt" {
			t.Errorf("%s: %+v", body, err)
		}
	}
}
