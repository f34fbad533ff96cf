package serving

// The routes that turn texts into embeddings, or into scores made of them.
const (
	OnEmbeddings   Routes = 1 << (24 + iota) // POST /v1/embeddings
	OnEmbedding                              // POST /embedding and /embeddings
	OnOllamaEmbed                            // POST /api/embed
	OnOllamaVector                           // POST /api/embeddings
	OnRerank                                 // POST /rerank, /v1/rerank and /v2/rerank
	OnScore                                  // POST /score and /v1/score

	onOllamaEmbeds = OnOllamaEmbed | OnOllamaVector
	onRanks        = OnRerank | OnScore
	onEmbeds       = OnEmbeddings | OnEmbedding | onOllamaEmbeds | onRanks
)

func embeddingRouteOf(path string) Routes {
	switch path {
	case "/v1/embeddings":
		return OnEmbeddings
	case "/embedding", "/embeddings":
		return OnEmbedding
	case "/api/embed":
		return OnOllamaEmbed
	case "/api/embeddings":
		return OnOllamaVector
	case "/rerank", "/v1/rerank", "/v2/rerank":
		return OnRerank
	case "/score", "/v1/score":
		return OnScore
	}
	return 0
}

// embeddingParameters are the rows of those routes.
var embeddingParameters = []Parameter{
	honoured(onEmbeds, "model", "an id or an alias from /v1/models; a model that is not in memory is loaded; may be left out"),
	honoured(OnEmbeddings|OnEmbedding|OnOllamaEmbed, "input", "up to 2048 texts; not for Ollama: token ids, too"),
	honoured(OnEmbedding, "content", "another name of input"),
	honoured(OnOllamaVector, "prompt", "one text"),
	{Name: "encoding_format", Honoured: OnEmbeddings, Refused: OnEmbedding, Inert: []string{`"float"`}, Note: "float or base64"},
	honoured(OnEmbeddings|OnOllamaEmbed, "dimensions", "the model's own only"),
	honoured(OnEmbeddings, "add_special_tokens", "false: without the tokens that the model wants around every text"),
	honoured(OnEmbeddings|onRanks, "priority", "above 0: after the others"),
	honoured(OnEmbedding, "embd_normalize", "-1: not at all, 0: to a largest value of 32760, 1: taxicab, 2 (default): Euclidean, above: that norm"),
	honoured(OnOllamaEmbed|OnRerank, "truncate", "true: a text that is too long loses its end; otherwise it is refused"),
	honoured(onOllamaEmbeds, "options", "num_ctx only: there is nothing to sample"),
	honoured(onOllamaEmbeds, "options.num_ctx", "no more than the server's own context"),
	honoured(onOllamaEmbeds, "keep_alive", keepAliveNote),

	honoured(OnRerank, "query", ""),
	honoured(OnRerank, "documents", "up to 2048 texts, or objects with a text"),
	honoured(OnRerank, "texts", "instead of documents; the answer has the form of Text Embeddings Inference"),
	honoured(OnRerank, "top_n", "so many of the best; 0: all"),
	honoured(OnRerank, "return_documents", "default true, on /v2/rerank false"),
	honoured(OnRerank, "return_text", "with texts"),
	honoured(OnRerank, "raw_scores", "of a reranker: true for scores as the model made them, instead of between 0 and 1; cosines are cosines"),
	honoured(OnScore, "text_1", "a text, or as many as text_2 has"),
	honoured(OnScore, "text_2", "a text or up to 2048"),
	honoured(OnScore, "queries", "another name of text_1"),
	honoured(OnScore, "documents", "another name of text_2"),

	refused(onEmbeds, "pooling"),
	refused(OnEmbeddings|OnEmbedding, "messages"),
	refused(OnEmbeddings, "normalize", "true"),
	refused(OnEmbeddings|onRanks, "use_activation"),
	refused(OnEmbeddings|onRanks, "truncate_prompt_tokens"),
	refused(OnEmbeddings|onRanks, "mm_processor_kwargs"),
	refused(OnEmbeddings, "embed_dtype", `"float32"`),
	refused(OnEmbeddings, "endianness", `"native"`, `"little"`),
	refused(OnEmbedding, "image_data", "[]"),
	refused(OnEmbeddings|onRanks, "instruction", `""`),
	refused(OnRerank, "max_tokens_per_doc"),
	refused(OnRerank, "max_chunks_per_doc", "1"),
	refused(OnRerank, "rank_fields"),
	refused(OnRerank, "truncation_direction", `"right"`, `"Right"`),
	ignored(OnEmbeddings|onRanks, "user", "for the client's own books"),
	ignored(OnEmbeddings|onRanks, "request_id", "the header x-request-id has it"),
}
