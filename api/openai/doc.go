// Package openai holds the wire types of the OpenAI HTTP API as Penstock speaks
// it: completions, chat completions and models, with the fields that vLLM and
// llama-server added and clients use.
//
// There is no logic here beyond reading the forms that one field may have.
// Optional request fields are pointers: absent and zero are different things.
// The server decodes these types; Go clients may encode them.
package openai
