#!/usr/bin/env bash
# curl, as scripts use it: each protocol's main routes, streamed and not, statuses, and a client that hangs up.
set -uo pipefail
url=$PENSTOCK_URL
failed=0
counting='Count from 1 to 20, separated by commas.'
message='"messages":[{"role":"user","content":"'$counting'"}]'
tool='{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}'
common='"model":"'$PENSTOCK_MODEL'","temperature":0'

post() { curl -sS --max-time 60 -H 'Content-Type: application/json' "$url$1" -d "$2" "${@:3}"; }

# check FEATURE PATTERN COMMAND...: the command's output has the pattern
check() {
  local feature=$1 pattern=$2 out
  shift 2
  if out=$("$@" 2>&1) && grep -Eqz -- "$pattern" <<<"$out"; then
    printf 'ok\tcurl\t%s\n' "$feature"
  else
    failed=1
    printf '%s\n' "$out" >&2
    printf 'FAIL\tcurl\t%s\n' "$feature"
  fi
}

status() { post "$1" "$2" -o /dev/null -w '%{http_code}'; }

stored() { # a response is kept, read and deleted
  local id
  id=$(post /v1/responses '{'"$common"',"input":"hi","max_output_tokens":2}' | grep -o 'resp_[0-9a-z]*' | head -n 1)
  curl -sS -f "$url/v1/responses/$id" -o /dev/null && curl -sS -f -X DELETE "$url/v1/responses/$id" &&
    curl -sS -o /dev/null -w ' then %{http_code}' "$url/v1/responses/$id"
}

cancelled() { # a client that hangs up frees its sequence
  curl -sS --max-time 2 "$url/v1/chat/completions" -d '{'"$common"',"messages":[{"role":"user","content":"Write a long story."}],"max_tokens":4000,"stream":true}' >/dev/null 2>&1
  for _ in $(seq 1200); do
    curl -sS "$url/metrics" | grep -x 'penstock_requests_running 0' && return
    sleep 0.1
  done
  return 1
}

tokens() { # text to tokens and back
  local list
  list=$(post /tokenize '{"content":"Hi there"}') && post /detokenize "$list" && printf '%s' "$list"
}

statuses() { for path; do curl -sS -o /dev/null -w '%{http_code} ' "$url$path"; done; }

# open_webui makes the calls that Open WebUI makes of an Ollama and of an OpenAI connection, and prints their statuses.
open_webui() {
  local ask='{"model":"'"$PENSTOCK_MODEL"'","messages":[{"role":"user","content":"Say hi."}],"options":{"num_predict":4},"keep_alive":"5m","stream":true}'
  statuses /api/version /api/tags /api/ps /v1/models
  for call in "/api/chat $ask" '/api/show {"name":"'"$PENSTOCK_MODEL"'"}' '/api/embed {"model":"'"$PENSTOCK_MODEL"'","input":["a","b"],"truncate":true}' \
    '/api/generate {"model":"'"$PENSTOCK_MODEL"'","prompt":"Hi","stream":false,"options":{"num_predict":4}}' \
    '/v1/chat/completions {"model":"'"$PENSTOCK_MODEL"'","messages":[{"role":"user","content":"Say hi."}],"max_tokens":4,"stream":true,"stream_options":{"include_usage":true}}'; do
    status "${call%% *}" "${call#* }"
    printf ' '
  done
}

check chat '"content":"1, 2, 3.*"finish_reason":"length".*"completion_tokens":8' post /v1/chat/completions '{'"$common,$message"',"max_tokens":8}'
check stream '^data: \{.*"role":"assistant".*"content":"1".*"finish_reason":"length".*data: \[DONE\]' post /v1/chat/completions '{'"$common,$message"',"max_tokens":8,"stream":true}' -N
check 'forced tool' '"name":"get_weather","arguments":"\{.*"finish_reason":"tool_calls"' post /v1/chat/completions \
  '{'"$common"',"messages":[{"role":"user","content":"What is the weather in Paris?"}],"max_tokens":40,"tools":['"$tool"'],"tool_choice":{"type":"function","function":{"name":"get_weather"}}}'
check stop '"content":"1, 2, 3, ".*"finish_reason":"stop"' post /v1/chat/completions '{'"$common,$message"',"max_tokens":20,"stop":"4"}'
check completions '"text":" 6' post /v1/completions '{'"$common"',"prompt":"1, 2, 3, 4, 5,","max_tokens":4}'
check responses '"type":"output_text".*"text":"1, 2, 3' post /v1/responses '{'"$common"',"input":"'"$counting"'","max_output_tokens":8}'
check 'responses stream' 'event: response.created.*event: response.output_text.delta.*event: response.incomplete' post /v1/responses \
  '{'"$common"',"input":"'"$counting"'","max_output_tokens":8,"stream":true}' -N
check 'stored responses' '"deleted":true.* then 404' stored
check 'anthropic messages' '"type":"text","text":"1, 2, 3.*"stop_reason":"max_tokens"' post /v1/messages '{'"$common,$message"',"max_tokens":8}' -H 'anthropic-version: 2023-06-01' -H 'x-api-key: none'
check 'count tokens' '"input_tokens":[1-9]' post /v1/messages/count_tokens '{"model":"'"$PENSTOCK_MODEL"'",'"$message"'}'
check 'ollama chat' '"content":"1, 2, 3.*"done":true,"done_reason":"length"' post /api/chat '{'"$message"',"model":"'"$PENSTOCK_MODEL"'","stream":false,"options":{"num_predict":8,"temperature":0}}'
check generate '"response":"1".*"done":false.*"done":true' post /api/generate '{"model":"'"$PENSTOCK_MODEL"'","prompt":"'"$counting"'","options":{"num_predict":8,"temperature":0}}' -N
check completion '"content":" 6' post /completion '{"prompt":"1, 2, 3, 4, 5,","n_predict":4,"temperature":0}'
check 'n probs' '"completion_probabilities":\[\{.*"top_logprobs"' post /completion '{"prompt":"1, 2, 3,","n_predict":2,"n_probs":2}'
check infill '"content":"a \+ b' post /infill '{"input_prefix":"def add(a, b):\n    return ","input_suffix":"\n\nprint(add(1, 2))\n","n_predict":8,"temperature":0}'
check forms '"content":"\{' post /v1/chat/completions '{'"$common,$message"',"max_tokens":60,"response_format":{"type":"json_object"}}'
check tokens '"content":"Hi there".*"tokens":\[[0-9]+' tokens
check 'apply template' '"prompt":".*im_start' post /apply-template '{'"$message"',"tools":['"$tool"']}'
check embeddings '"embedding":\[.*"total_tokens":[1-9]' post /v1/embeddings '{"model":"'"$PENSTOCK_MODEL"'","input":["a","b"]}'
check embeddings '"embedding":\[\[' post /embedding '{"content":"a"}'
check rerank '"index":0.*"relevance_score"' post /v1/rerank '{"query":"a pipe","documents":["a tube","Dear Sir"],"top_n":1,"return_documents":true}'
check 'rerank: Cohere' '"relevance_score"' post /v2/rerank '{"model":"'"$PENSTOCK_MODEL"'","query":"a pipe","documents":["a tube"]}'
check 'rerank: TEI' '\[\{"index":0,"score"' post /rerank '{"query":"a pipe","texts":["a tube","Dear Sir"]}'
check score '"score"' post /score '{"model":"'"$PENSTOCK_MODEL"'","text_1":"a pipe","text_2":["a tube"]}'
check 'server info' '^(200 )+[[:space:]]*$' statuses /props /slots /metrics /health /lora-adapters /version /ping /load /v1/loads /get_load /get_model_info /get_server_info /openapi.json /livez /readyz
check 'Open WebUI' '^(200 )+[[:space:]]*$' open_webui
check models '"object":"list".*"id":"'"$PENSTOCK_MODEL"'"' curl -sS "$url/v1/models"
check 'model info' '"capabilities":\[.*"tools"' post /api/show '{"model":"'"$PENSTOCK_MODEL"'"}'
check errors '404' status /v1/chat/completions '{"model":"gpt-7",'"$message"'}'
check 'errors: bad JSON' '400' status /v1/chat/completions '{"model":'
check cancel 'penstock_requests_running 0' cancelled
exit $failed
