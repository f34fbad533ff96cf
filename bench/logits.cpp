// logits MODEL TOKENS CHUNK > FILE: the logits of llama.cpp for each of the tokens, as float32, row by row.
//
// TOKENS are ids between commas, CHUNK is how many of them a step computes. Keys and values are float32 and
// nothing is fused, so that the numbers are those of the graph. llama.cpp takes GELU from a table of halves,
// which alone is an error of 5e-4; here it is computed again after each of its nodes, in float64.
#include "ggml.h"
#include "llama.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

static bool is_gelu(const ggml_tensor * t) {
    return (t->op == GGML_OP_UNARY && ggml_get_unary_op(t) == GGML_UNARY_OP_GELU) ||
           (t->op == GGML_OP_GLU && ggml_get_glu_op(t) == GGML_GLU_OP_GEGLU);
}

// exact_gelu computes a node of GELU again: of src[0], times src[1] where the node has a gate. Its result may have
// taken their place in memory, so every node's result is kept.
static bool exact_gelu(ggml_tensor * t, bool ask, void * user) {
    auto & kept = *(std::map<const ggml_tensor *, std::vector<float>> *) user;
    if (ask) {
        return true;
    }
    if (is_gelu(t)) {
        const bool gated = t->op == GGML_OP_GLU;
        if (t->type != GGML_TYPE_F32 || !kept.count(t->src[0]) || (gated && !kept.count(t->src[1]))) {
            fprintf(stderr, "logits: a node of GELU is not as expected\n");
            exit(1);
        }
        const std::vector<float> & x = kept[t->src[0]];
        float * y = (float *) t->data;
        for (size_t i = 0; i < x.size(); i++) {
            const double v = x[i];
            const double g = 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
            y[i] = (float) (gated ? g * kept[t->src[1]][i] : g);
        }
    }
    if (t->type == GGML_TYPE_F32 && ggml_is_contiguous(t)) {
        const float * data = (const float *) t->data;
        kept[t].assign(data, data + ggml_nelements(t));
    }
    return true;
}

int main(int argc, char ** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: logits MODEL TOKENS CHUNK\n");
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
    const int chunk = atoi(argv[3]);

    llama_model_params mp = llama_model_default_params();
    mp.use_extra_bufts = false;
    llama_model * model = llama_model_load_from_file(argv[1], mp);
    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = 0;
    cp.n_batch = cp.n_ubatch = 512;
    cp.n_threads = cp.n_threads_batch = 1;
    cp.type_k = cp.type_v = GGML_TYPE_F32;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    std::map<const ggml_tensor *, std::vector<float>> kept;
    cp.cb_eval = exact_gelu;
    cp.cb_eval_user_data = &kept;
    llama_context * ctx = model ? llama_init_from_model(model, cp) : nullptr;
    if (!ctx) {
        fprintf(stderr, "logits: %s does not load\n", argv[1]);
        return 1;
    }
    const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
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
            fwrite(llama_get_logits_ith(ctx, i), sizeof(float), vocab, stdout);
        }
    }
    return 0;
}
