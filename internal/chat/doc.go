// Package chat turns the messages of a conversation into the prompt that the
// model was trained on, with the chat template of its GGUF file.
//
// The text is byte for byte what transformers' apply_chat_template makes; the
// template language is package jinja below. Tokenising the prompt is the
// caller's, as is the decision which fields of a request to pass on. Packages
// server and cmd call it.
package chat
