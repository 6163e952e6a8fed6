-- Gives a transcoded stream the form that the client asked for: a JSON array, lines (NDJSON) or server-sent events.
--
-- The transcoder, which stands between this filter and the service, always writes an array, a chunk at a time:
-- "[" element, "," element ..., and "]" as a chunk of its own when the trailers have come. That last chunk is why it
-- must be the array: by then stream_status.lua knows how the stream ended, and here is the place to say so. The other
-- formats of the transcoder write nothing at the end.
--
-- Rules: what the client prefers is decided here alone; it goes on as one of FORMATS in "accept", which the abort
-- switch (edge/transcoder.py) reads. An array passes untouched: if its stream fails, the abort switch cuts it.

local FORMATS = {
  ["application/json"] = {},
  ["application/x-ndjson"] = { before = "", after = "\n", failed = "%s\n" },
  ["text/event-stream"] = { before = "data: ", after = "\n\n", failed = "event: error\ndata: %s\n\n" },
}
local ARRAY = "application/json"

-- The format with the highest q of an Accept header; of equals the first; of none the array.
local function preferred(accept)
  local best, best_q = ARRAY, 0
  for range in (accept or ""):gmatch("[^,]+") do
    local kind = range:match("^%s*([^;%s]+)")
    local q = tonumber(range:match(";%s*q=([%d.]+)") or 1) or 1
    kind = kind and kind:lower()
    if FORMATS[kind] and q > best_q then best, best_q = kind, q end
  end
  return best
end

local ESCAPED = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quoted(text)
  local escaped = text:gsub('[%c"\\]', function(c) return ESCAPED[c] or ("\\u%04x"):format(c:byte()) end)
  return '"' .. escaped .. '"'
end

local function failure(ending)
  local text = ending.message:gsub("%%(%x%x)", function(x) return string.char(tonumber(x, 16)) end)
  return '{"error":{"code":' .. ending.code .. ',"message":' .. quoted(text) .. ',"details":[]}}'
end

-- Where the string that opens at `open` closes: at a quote with an even number of backslashes before it.
local function string_end(text, open)
  local close, slashes = open, nil
  repeat
    close = text:find('"', close + 1, true)
    local before = close - 1
    while text:byte(before) == 92 do before = before - 1 end
    slashes = close - 1 - before
  until slashes % 2 == 0
  return close
end

-- "{...},{...}" as records of the format. Braces in strings and in nested messages do not count.
local function records(elements, format)
  if not elements:find("},{", 1, true) then return format.before .. elements .. format.after end
  local out, depth, start, at = {}, 0, 1, 1
  while true do
    local p = elements:find('["{}]', at)
    if p == nil then return table.concat(out) end
    local c = elements:byte(p)
    if c == 34 then
      p = string_end(elements, p)
    elseif c == 123 then
      depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 then
        out[#out + 1] = format.before .. elements:sub(start, p) .. format.after
        start = p + 2 -- after the comma
      end
    end
    at = p + 1
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local kind = preferred(headers:get("accept"))
  headers:replace("accept", kind)
  handle:streamInfo():dynamicMetadata():set("stream", "kind", kind)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local stream = handle:streamInfo():dynamicMetadata():get("stream")
  local kind = stream and stream.kind or ARRAY
  if kind == ARRAY or headers:get(":status") ~= "200" or headers:get("content-type") ~= ARRAY then return end

  local format = FORMATS[kind]
  headers:replace("content-type", kind)
  headers:replace("cache-control", "no-cache") -- or a proxy on the way may hold a stream back
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local text = length > 0 and chunk:getBytes(0, length) or ""
    if text == "]" or text == "[]" then
      local ending = handle:streamInfo():dynamicMetadata():get("stream")
      chunk:setBytes(ending.code and format.failed:format(failure(ending)) or "")
    elseif length > 0 then
      chunk:setBytes(records(text:sub(2), format)) -- without the "[" or "," before it
    end
  end
end
