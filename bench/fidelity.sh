#!/usr/bin/env bash
# fidelity.sh PENSTOCK WORK [LLAMA]: how far Penstock's predictions are from those of the same weights in float32, for every weight
# format and every type of KV cache, as a Markdown table. WORK takes the converted models (2 GB at a time). Where LLAMA holds
# llama.cpp's programs, the table has their distance from their own float32 predictions beside ours.
#
# Environment: TEXT, the text to predict; CHUNKS of 512 tokens, all by default; ONLY, a pattern of rows, such as 'SmolLM2 Q4'.
# The exit code says whether ours is the smaller mean wherever the weights make a model of use.
set -euo pipefail
penstock=${1:?usage: fidelity.sh PENSTOCK WORK [LLAMA]}
work=${2:?usage: fidelity.sh PENSTOCK WORK [LLAMA]}
llama=${3:-}
text=${TEXT:-internal/eval/testdata/english.txt}
chunks=${CHUNKS:-0}
worse=0
judged=yes
mkdir -p "$work"

number() { # number KEY: of the JSON on stdin
  sed -n "s/.*\"$1\":\([-0-9.e+]*\).*/\1/p"
}

theirs() { # theirs FILE FLAG...: KL mean, KL p99, top-1, perplexity of llama.cpp
  local file=$1 log="$work/llama.log" common=(-f "$text" -c 512 --chunks "$([ "$chunks" = 0 ] && echo -1 || echo "$chunks")")
  shift
  if [ ! -x "$llama/llama-perplexity" ]; then
    echo "– – – –"
    return
  fi
  if [ "$(cat "$work/base.of" 2>/dev/null)" != "$file" ]; then
    "$penstock" quantize "$file" "$work/float32.gguf" F32 2>/dev/null
    "$llama/llama-perplexity" -m "$work/float32.gguf" "${common[@]}" -ctk f32 -ctv f32 -fa off --kl-divergence-base "$work/base" >"$log" 2>&1
    rm "$work/float32.gguf"
    echo "$file" >"$work/base.of"
  fi
  "$llama/llama-perplexity" -m "$file" "${common[@]}" --kl-divergence-base "$work/base" --kl-divergence "$@" >"$log" 2>&1
  sed -n -e 's/^Mean    KLD: *\([-0-9.]*\).*/\1/p' -e 's/^99\.0%   KLD: *\([-0-9.]*\).*/\1/p' \
    -e 's/^Same top p: *\([0-9.]*\).*/\1/p' -e 's/^Mean PPL(Q) *: *\([0-9.]*\).*/\1/p' "$log" | { read -r p; read -r k; read -r q; read -r t; echo "$k $q $t $p"; }
}

row() { # row NAME FILE OUR-FLAGS THEIR-FLAGS
  local json kl p99 top ppl ref t
  [[ "$1" == *${ONLY:-}* ]] || return 0
  # shellcheck disable=SC2086
  json=$("$penstock" perplexity "$2" --file "$text" --chunks "$chunks" --reference $3 2>/dev/null)
  kl=$(number kl_mean <<<"$json") p99=$(number kl_p99 <<<"$json") top=$(number top1_agreement <<<"$json")
  ppl=$(number ppl <<<"$json") ref=$(number reference_ppl <<<"$json")
  # shellcheck disable=SC2086
  t=$(theirs "$2" $4)
  # shellcheck disable=SC2086
  LC_ALL=C awk -v name="$1" -v kl="$kl" -v p99="$p99" -v top="$top" -v ppl="$ppl" -v ref="$ref" 'BEGIN {
    split(ARGV[1], t, " ")
    printf "| %s | %.6f | %.6f | %.2f %% | %.3f | %.3f | %s |\n", name, kl, p99, 100*top, ppl, ref,
      t[1] == "–" ? "– | – | – | –" : sprintf("%s | %s | %.2f %% | %.3f", t[1], t[2], t[3], t[4])
    exit t[1] != "–" && kl > t[1] + 0.000002 # what the six digits and the 16-bit logits of the base hide
  }' "$t" || [ "$judged" = no ] || { worse=1; echo "fidelity.sh: $1: ours is larger" >&2; }
}

formats() { # formats NAME FILE TYPE...
  local name=$1 from=$2 kind
  shift 2
  for kind in "$@"; do
    [[ "$name $kind" == *${ONLY:-}* ]] || continue
    "$penstock" quantize --pure "$from" "$work/model.gguf" "$kind" 2>/dev/null
    rm -f "$work/base.of"
    row "$name $kind" "$work/model.gguf" "" ""
    rm "$work/model.gguf"
  done
}

model() { # model NAME: its file
  "$penstock" pull "$1" 2>/dev/null | tail -n 1
}

smollm2=${SMOLLM2:-$(model smollm2)}
gemma=${GEMMA:-$(model gemma3:270m)}
echo "| Weights, cache | KL mean | KL p99 | top-1 | perplexity | in float32 | llama.cpp: KL mean | KL p99 | top-1 | perplexity |"
echo "|---|---|---|---|---|---|---|---|---|---|"
row "SmolLM2 Q4_1, the file itself" "$smollm2" "" ""
row "SmolLM2 Q4_1, f16 cache" "$smollm2" "--kv-type f16" ""
row "SmolLM2 Q4_1, q8 cache" "$smollm2" "--kv-type q8" "-ctk q8_0 -ctv q8_0 -fa on"
row "Gemma 3 Q4_K_M, the file itself" "$gemma" "" ""
row "Gemma 3 Q4_K_M, f16 cache" "$gemma" "--kv-type f16" ""
row "Gemma 3 Q4_K_M, q8 cache" "$gemma" "--kv-type q8" "-ctk q8_0 -ctv q8_0 -fa on"
# Weights of one format throughout, from the float32 form of the file.
"$penstock" quantize "$smollm2" "$work/smollm2-f32.gguf" F32 2>/dev/null
formats SmolLM2 "$work/smollm2-f32.gguf" F32 F16 BF16 Q8_0 Q5_1 Q5_0 Q4_1 Q4_0 IQ4_NL MXFP4
# Blocks of 256 divide some of Gemma's rows (the others keep Q5_0 and Q8_0), and none of SmolLM2's.
formats "Gemma 3" "$gemma" Q6_K Q5_K Q4_K IQ4_XS Q3_K Q2_K IQ3_S IQ3_XXS IQ2_S IQ2_XS IQ2_XXS
# Weights that were not trained for so few levels make a model that predicts nothing: these rows are for the record.
judged=no
formats "Gemma 3" "$gemma" TQ2_0 TQ1_0 Q1_0
formats SmolLM2 "$work/smollm2-f32.gguf" Q2_0
rm -f "$work/smollm2-f32.gguf" "$work/base" "$work/base.of"
exit $worse
