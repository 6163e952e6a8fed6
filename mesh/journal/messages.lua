-- How many messages a streamed answer had, told from its chunks. One of the three texts of mesh/journal/program.py.
--
-- Rules
--   A counter gets the chunks of one answer, cut anywhere, and returns the messages so far. It keeps no chunk.
--   What a client would count is counted: the record of an error that the edge puts at the end of NDJSON or SSE is one.

local function grpc_counter() -- length-prefixed: a flag, four bytes of length; 0x80 marks the trailers of gRPC-Web
  local skip, prefix, messages = 0, "", 0
  return function(chunk)
    local at, n = 0, chunk:length()
    while at < n do
      if skip > 0 then
        local step = math.min(skip, n - at)
        at, skip = at + step, skip - step
      else
        local step = math.min(5 - #prefix, n - at)
        prefix, at = prefix .. chunk:getBytes(at, step), at + step
        if #prefix == 5 then
          local flag, a, b, c, d = prefix:byte(1, 5)
          skip, prefix = ((a * 256 + b) * 256 + c) * 256 + d, ""
          if flag < 128 then messages = messages + 1 end
        end
      end
    end
    return messages
  end
end

local function json_counter() -- elements of an array at the top; objects at the top, one after another, count too
  local depth, quoted, escaped, array, expecting, messages = 0, false, false, false, false, 0
  return function(chunk)
    local n = chunk:length()
    local text = chunk:getBytes(0, n) -- held in a local: the pointer below does not keep it
    local bytes = ffi.cast("const uint8_t *", text)
    for i = 0, n - 1 do
      local c = bytes[i]
      if quoted then
        if escaped then escaped = false elseif c == 92 then escaped = true elseif c == 34 then quoted = false end
      elseif c == 44 then -- ,
        if depth == 1 then expecting = array end
      elseif c == 93 or c == 125 then -- ] }
        depth = depth - 1
      elseif c > 32 then
        if depth == 1 and expecting then
          messages, expecting = messages + 1, false
        elseif depth == 0 and c == 123 then
          messages = messages + 1
        end
        if c == 34 then
          quoted = true
        elseif c == 91 or c == 123 then -- [ {
          if depth == 0 then array = c == 91; expecting = array end
          depth = depth + 1
        end
      end
    end
    return messages
  end
end

local function text_counter(mark) -- what ends with `mark`, which has one or two bytes
  local before, messages = "", 0
  return function(chunk)
    local text, at = before .. chunk:getBytes(0, chunk:length()), 1
    while true do
      local from, to = text:find(mark, at, true)
      if not from then break end
      messages, at = messages + 1, to + 1
    end
    before = #mark > 1 and text:sub(math.max(at, #text)) or ""
    return messages
  end
end

local function counter_of(headers) -- name -> value
  local kind = headers["content-type"] or ""
  if kind:find("application/grpc", 1, true) == 1 then return grpc_counter() end
  if not headers["content-encoding"] then
    if kind:find("application/json", 1, true) == 1 then return json_counter() end
    if kind:find("application/x-ndjson", 1, true) == 1 then return text_counter("\n") end
    if kind:find("text/event-stream", 1, true) == 1 then return text_counter("\n\n") end
  end
  return function() return 0 end -- a page, an image, something compressed: bytes, no messages
end
