// logits MODEL TOKENS CHUNK [states] > FILE: the logits of llama.cpp for each of the tokens, as float32, row by row;
// with `states` the final hidden states of an encoder, which takes the tokens as one text.
//
// TOKENS are ids between commas, CHUNK is how many of them a step computes. Keys and values are float32 and
// nothing is fused, so that the numbers are those of the graph. llama.cpp takes GELU from a table of halves,
// which alone is an error of 5e-4; here it is computed again after each of its nodes, in float64. BERT and its
// family were trained with GELU by the error function, for which llama.cpp's graphs have the approximation by the
// hyperbolic tangent: with `states` it is the error function, but for Gemma.
#include "ggml.h"
#include "llama.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

static bool is_gelu(const ggml_tensor * t) {
    return (t->op == GGML_OP_UNARY && ggml_get_unary_op(t) == GGML_UNARY_OP_GELU) ||
           (t->op == GGML_OP_GLU && ggml_get_glu_op(t) == GGML_GLU_OP_GEGLU);
}

struct nodes {
    std::map<const ggml_tensor *, std::vector<float>> kept;
    bool erf = false; // GELU by the error function
};

static double gelu(double v, bool by_erf) {
    return 0.5 * v * (by_erf ? 1 + erf(v / sqrt(2)) : 1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
}

// exact_gelu computes a node of GELU again: of src[0], times src[1] where the node has a gate, or of the first half of
// src[0]'s rows times the second. The result may have taken their place in memory, so every node's result is kept.
static bool exact_gelu(ggml_tensor * t, bool ask, void * user) {
    const bool by_erf = ((nodes *) user)->erf;
    auto & kept = ((nodes *) user)->kept;
    if (ask) {
        return true;
    }
    if (is_gelu(t)) {
        const bool gated = t->op == GGML_OP_GLU, halves = gated && !t->src[1];
        const bool swapped = halves && t->op_params[1];
        if (t->type != GGML_TYPE_F32 || swapped || !kept.count(t->src[0]) || (gated && !halves && !kept.count(t->src[1]))) {
            fprintf(stderr, "logits: a node of GELU is not as expected\n");
            exit(1);
        }
        const std::vector<float> & x = kept[t->src[0]];
        const size_t n = ggml_nelements(t), width = t->ne[0];
        float * y = (float *) t->data;
        for (size_t i = 0; i < n; i++) {
            const size_t from = halves ? i / width * 2 * width + i % width : i;
            const double gate = !gated ? 1 : halves ? x[from + width] : kept[t->src[1]][i];
            y[i] = (float) (gelu(x[from], by_erf) * gate);
        }
    }
    if (t->type == GGML_TYPE_F32 && ggml_is_contiguous(t)) {
        const float * data = (const float *) t->data;
        kept[t].assign(data, data + ggml_nelements(t));
    }
    return true;
}

int main(int argc, char ** argv) {
    const bool states = argc == 5 && !strcmp(argv[4], "states");
    if (argc != 4 && !states) {
        fprintf(stderr, "usage: logits MODEL TOKENS CHUNK [states]\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            fputs(text, stderr);
        }
    }, nullptr);
    std::vector<llama_token> tokens;
    for (const char * p = argv[2]; *p;) {
        char * end;
        tokens.push_back(strtol(p, &end, 10));
        p = *end ? end + 1 : end;
    }
    const int chunk = states ? tokens.size() : atoi(argv[3]);

    llama_model_params mp = llama_model_default_params();
    mp.use_extra_bufts = false;
    llama_model * model = llama_model_load_from_file(argv[1], mp);
    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = 0;
    cp.n_batch = cp.n_ubatch = 512;
    cp.n_threads = cp.n_threads_batch = 1;
    cp.type_k = cp.type_v = GGML_TYPE_F32;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    cp.embeddings = states;
    cp.pooling_type = LLAMA_POOLING_TYPE_NONE;
    nodes seen;
    cp.cb_eval = exact_gelu;
    cp.cb_eval_user_data = &seen;
    llama_context * ctx = model ? llama_init_from_model(model, cp) : nullptr;
    if (!ctx) {
        fprintf(stderr, "logits: %s does not load\n", argv[1]);
        return 1;
    }
    char arch[64] = "";
    llama_model_meta_val_str(model, "general.architecture", arch, sizeof arch);
    seen.erf = states && strcmp(arch, "gemma-embedding");
    const int width = states ? llama_model_n_embd(model) : llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_batch batch = llama_batch_init(chunk, 0, 1);
    for (size_t at = 0; at < tokens.size(); at += batch.n_tokens) {
        batch.n_tokens = 0;
        for (int i = 0; i < chunk && at + i < tokens.size(); i++, batch.n_tokens++) {
            batch.token[i] = tokens[at + i];
            batch.pos[i] = at + i;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = 0;
            batch.logits[i] = 1;
        }
        if (llama_decode(ctx, batch)) {
            fprintf(stderr, "logits: a step fails\n");
            return 1;
        }
        for (int i = 0; i < batch.n_tokens; i++) {
            fwrite(states ? llama_get_embeddings_ith(ctx, i) : llama_get_logits_ith(ctx, i), sizeof(float), width, stdout);
        }
    }
    return 0;
}
