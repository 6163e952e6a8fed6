-- The journal: one record of every answered call, written before the client sees the answer.
--
-- Rules
--   First HTTP filter of an edge listener: it sees the request as the client sent it and the answer as the client gets it.
--   A record is one frame (mesh/journal/spool.py) in one write(2), before the headers it tells of are released; the end
--   of a stream likewise, before its last byte or its trailers. SIGKILL of Envoy cannot take back what the kernel has.
--   Nothing is buffered: chunks of requests and answers pass as they come.
--   A call never fails because of this filter, and nothing is raised out of it: what cannot be recorded is counted, and
--   declared (CallsLost) as soon as a write succeeds again. A call is lost as a whole, with the end of its stream.
--   Each Lua VM (one per worker, listener and generation of configuration) has its own segments. It alone knows how long
--   they are: a torn write is cut off again, its segment abandoned for a fresh one, and the record written there.
--   Authorization, cookies and every header that KEPT does not name are never stored.
--
-- `local ASKED = "grpc"` (or "rest") is put in front of this text: see journal_source in mesh/journal/filter.py.

local bit, ffi, buffer = require("bit"), require("ffi"), require("string.buffer")
local band, bxor, rshift = bit.band, bit.bxor, bit.rshift
local char, floor = string.char, math.floor

ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } journal_time;
  int clock_gettime(int clock, journal_time *time);
  int open(const char *path, int flags, ...);
  int close(int fd);
  int ftruncate(int fd, long length);
  ssize_t write(int fd, const void *bytes, size_t length);
  char *strerror(int error);
]]
local C = ffi.C

local SPOOL = "spool" -- in Envoy's working directory: a link to the directory of this incarnation
local FLAGS = bit.bor(0x1, 0x40, 0x400, 0x80000) -- O_WRONLY O_CREAT O_APPEND O_CLOEXEC, as Linux numbers them
local OWNER_ONLY = 384 -- 0600
local SEGMENT_BYTES = 16 * 1024 * 1024
local BODY_BYTES = 64 * 1024 -- of a request, kept for a replay
local KEPT = { "accept", "content-type", "content-encoding", "grpc-encoding", "grpc-timeout" } -- what a replay needs
local HEADER_BYTES = 12

-- Time: the system clock, 25 ns a look (handle:timestampString takes 240)

local time = ffi.new("journal_time")

local function now_us()
  C.clock_gettime(0, time)
  return tonumber(time.seconds) * 1000000 + floor(tonumber(time.nanoseconds) / 1000)
end

-- MessagePack, into one buffer that every record of this VM reuses

local record = buffer.new(4096)

local function u32(value)
  return floor(value / 16777216) % 256, floor(value / 65536) % 256, floor(value / 256) % 256, value % 256
end

local function put_integer(value)
  if value < 128 then
    record:put(char(value))
  else
    local high, low = floor(value / 4294967296), value % 4294967296
    record:put(char(0xcf, u32(high)), char(u32(low)))
  end
end

local function put_string(text)
  local n = #text
  if n < 32 then
    record:put(char(0xa0 + n), text)
  elseif n < 65536 then
    record:put(char(0xda, floor(n / 256), n % 256), text)
  else
    record:put(char(0xdb, u32(n)), text)
  end
end

local function put_bytes(bytes)
  record:put(char(0xc6, u32(#bytes)), bytes)
end

local function put_status(status)
  if status then put_integer(status) else record:put("\192") end
end

local function whole_number(text) -- what a header says; nil if it is none (an upstream may say anything)
  local value = tonumber(text)
  return value and value >= 0 and value < 9007199254740992 and value == floor(value) and value or nil
end

local function key(name)
  return char(0xa0 + #name) .. name
end

-- Frames: magic, CRC-32 (zlib's) of what follows it, length, payload

local crc_of_byte = ffi.new("int32_t[256]")
for i = 0, 255 do
  local crc = i
  for _ = 1, 8 do
    crc = band(crc, 1) == 1 and bxor(rshift(crc, 1), 0xedb88320) or rshift(crc, 1)
  end
  crc_of_byte[i] = crc
end

local function crc32(bytes, from, to)
  local crc = -1
  for i = from, to - 1 do
    crc = bxor(crc_of_byte[band(bxor(crc, bytes[i]), 0xff)], rshift(crc, 8))
  end
  return bit.bnot(crc)
end

local function begin()
  record:reset():put("MLJ1\0\0\0\0\0\0\0\0")
end

local function sealed() -- the frame that `begin` began: address, length
  local bytes, length = record:ref()
  local words = ffi.cast("int32_t *", bytes) -- little endian, as every machine that Envoy is built for
  words[2] = length - HEADER_BYTES
  words[1] = crc32(ffi.cast("uint8_t *", bytes), 8, length)
  return bytes, length
end

-- Segments

-- Unique among the VMs of an Envoy: no two have a table at one address at one time.
local vm = string.format("%s-%.0f-%s", ASKED, now_us(), tostring({}):match("%x+$"))
local segment = { fd = -1, number = 0, size = 0 }

local function reason_of(errno)
  return ffi.string(C.strerror(errno))
end

local function open_segment()
  segment.number, segment.size = segment.number + 1, 0
  segment.fd = C.open(string.format("%s/%s-%06d.spool", SPOOL, vm, segment.number), FLAGS, ffi.cast("int", OWNER_ONLY))
  if segment.fd >= 0 then return true end
  segment.number = segment.number - 1
  return false, "open: " .. reason_of(ffi.errno())
end

local function close_segment()
  if segment.fd < 0 then return end
  C.close(segment.fd)
  segment.fd = -1
end

local function end_segment() -- an empty frame says: nothing will follow
  if segment.fd < 0 then return end
  begin()
  C.write(segment.fd, sealed()) -- if it fails, the next segment or the end of the incarnation says the same
  close_segment()
end

local function write(bytes, length) -- all of it or nothing
  local written = tonumber(C.write(segment.fd, bytes, length))
  if written == length then
    segment.size = segment.size + length
    return true
  end
  local reason = written < 0 and reason_of(ffi.errno()) or "short write"
  local whole = C.ftruncate(segment.fd, segment.size) == 0
  if segment.size > 0 or not whole then close_segment() end -- an empty one is as good as a fresh one
  return false, "write: " .. reason
end

local function keep() -- the frame in `record`
  if segment.size >= SEGMENT_BYTES then
    local whole = record:tostring()
    end_segment()
    record:reset():put(whole)
  end
  local done, reason
  for _ = 1, 2 do -- a segment that fails is abandoned for a fresh one, once
    done = true
    if segment.fd < 0 then done, reason = open_segment() end
    if done then done, reason = write(sealed()) end
    if done or segment.fd >= 0 then break end
  end
  return done, reason
end

-- What could not be recorded

local lost = { count = 0 }
local complained_us = 0

local function lose(handle, from_us, reason)
  local at = now_us()
  if lost.count == 0 then lost.from, lost.reason = from_us, reason end
  lost.count, lost.from, lost.to = lost.count + 1, math.min(lost.from, from_us), at
  if at - complained_us > 60000000 then
    complained_us = at
    handle:logErr(string.format("journal: %.0f answered calls not recorded yet: %s", lost.count, tostring(reason)))
  end
end

local LOST = char(0x85) .. key("type") .. key("CallsLost") .. key("from_us")

local function declare_lost()
  begin()
  record:put(LOST); put_integer(lost.from)
  record:put(key("to_us")); put_integer(lost.to)
  record:put(key("count")); put_integer(lost.count)
  record:put(key("reason")); put_string(lost.reason)
  if keep() then lost = { count = 0 } end
end

-- Requests

-- From the request to its answer a call is found by the number left in the stream's metadata. `calls` holds it weakly
-- and `held` for as long as Envoy holds the request's handle, so that a call that is never answered leaves nothing behind.
local calls, held, number = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" }), 0

local function read_request(handle)
  local headers = handle:headers()
  number = number + 1
  local call = {
    at = now_us(), id = headers:get("x-request-id") or "", method = headers:get(":method") or "",
    path = headers:get(":path") or "", headers = {}, body = {}, bytes = 0, kept = 0,
  }
  calls[number], held[handle] = call, call
  handle:streamInfo():dynamicMetadata():set("meshlog.journal", "call", number)
  for _, name in ipairs(KEPT) do
    local value = headers:get(name)
    if value then
      call.headers[#call.headers + 1] = name
      call.headers[#call.headers + 1] = value
    end
  end
  for chunk in handle:bodyChunks() do
    local n = chunk:length()
    local wanted = math.min(n, BODY_BYTES - call.kept)
    if wanted > 0 then
      call.body[#call.body + 1] = chunk:getBytes(0, wanted)
      call.kept = call.kept + wanted
    end
    call.bytes = call.bytes + n
  end
end

-- Messages of a stream. Each counter gets the chunks of one answer, cut anywhere, and returns the messages so far.

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

local function counter_of(headers)
  local kind = headers:get("content-type") or ""
  if kind:find("application/grpc", 1, true) == 1 then return grpc_counter() end
  if not headers:get("content-encoding") then
    if kind:find("application/json", 1, true) == 1 then return json_counter() end
    if kind:find("application/x-ndjson", 1, true) == 1 then return text_counter("\n") end
    if kind:find("text/event-stream", 1, true) == 1 then return text_counter("\n\n") end
  end
  return function() return 0 end -- a page, an image, something compressed: bytes, no messages
end

-- Answers

local ANSWERED = char(0xde, 0, 17) .. key("type") .. key("CallAnswered") .. key("asked") .. key(ASKED) .. key("call_id")
local ENDED = char(0x88) .. key("type") .. key("StreamEnded") .. key("call_id")
local KEYS = {}
for name in ([[trace_id position method path service version http_status grpc_status started_at_us answered_at_us
streaming request_headers request_body request_body_bytes messages bytes ended_at_us]]):gmatch("%S+") do
  KEYS[name] = key(name)
end

local NOBODY = { id = "", method = "", path = "", headers = {}, body = {}, bytes = 0 } -- asked too badly to be parsed

local function answered(call, headers, streaming)
  begin()
  record:put(ANSWERED); put_string(call.id)
  record:put(KEYS.trace_id); put_string(headers:get("x-trace-id") or "")
  record:put(KEYS.position); put_integer(call.position)
  record:put(KEYS.method); put_string(call.method)
  record:put(KEYS.path); put_string(call.path)
  record:put(KEYS.service); put_string(headers:get("x-meshlog-service") or "")
  record:put(KEYS.version); put_string(headers:get("x-meshlog-version") or "")
  record:put(KEYS.http_status); put_integer(whole_number(headers:get(":status")) or 0)
  record:put(KEYS.grpc_status); put_status(whole_number(headers:get("grpc-status")))
  record:put(KEYS.answered_at_us); put_integer(now_us())
  record:put(KEYS.started_at_us); put_integer(call.at)
  record:put(KEYS.streaming, streaming and "\195" or "\194", KEYS.request_headers, char(0x80 + #call.headers / 2))
  for _, text in ipairs(call.headers) do put_string(text) end
  record:put(KEYS.request_body); put_bytes(table.concat(call.body))
  record:put(KEYS.request_body_bytes); put_integer(call.bytes)
  return keep()
end

local function stream_ended(call, trace_id, status, messages, bytes)
  begin()
  record:put(ENDED); put_string(call.id)
  record:put(KEYS.trace_id); put_string(trace_id)
  record:put(KEYS.position); put_integer(call.position)
  record:put(KEYS.grpc_status); put_status(status)
  record:put(KEYS.messages); put_integer(messages)
  record:put(KEYS.bytes); put_integer(bytes)
  record:put(KEYS.ended_at_us); put_integer(now_us())
  return keep()
end

local function is_stream(call, headers) -- an answer whose end its headers do not tell
  if headers:get("grpc-status") or call.method == "HEAD" then return false end
  local status = headers:get(":status")
  if status == "204" or status == "304" then return false end
  return not headers:get("content-length") or (headers:get("content-type") or ""):find("application/grpc", 1, true) == 1
end

local function record_answer(handle)
  local headers = handle:headers()
  local mine = handle:streamInfo():dynamicMetadata():get("meshlog.journal")
  local call = mine and calls[mine.call] or setmetatable({ at = now_us() }, { __index = NOBODY })
  call.position = whole_number(headers:get("x-meshlog-position")) or 0
  local streaming = is_stream(call, headers)
  local done, reason = answered(call, headers, streaming)
  if not done then return lose(handle, call.at, reason) end
  if lost.count > 0 then declare_lost() end
  if not streaming then return end

  local trace_id, status = headers:get("x-trace-id") or "", headers:get("grpc-status")
  local count, messages, bytes = counter_of(headers), 0, 0
  for chunk in handle:bodyChunks() do
    bytes = bytes + chunk:length()
    messages = count(chunk)
  end
  local trailers = handle:trailers()
  status = whole_number(trailers and trailers:get("grpc-status") or status)
  done, reason = stream_ended(call, trace_id, status, messages, bytes)
  if not done then lose(handle, call.at, reason) end
end

-- What Envoy calls

function envoy_on_request(handle)
  local fine, problem = pcall(read_request, handle)
  if not fine then handle:logErr("journal: request not read: " .. tostring(problem)) end
end

function envoy_on_response(handle)
  local fine, problem = pcall(record_answer, handle)
  if not fine then pcall(lose, handle, now_us(), "the filter failed: " .. tostring(problem)) end
end

-- When the VM goes (new configuration, orderly end of Envoy) its segment says so.
local guard = newproxy(true)
getmetatable(guard).__gc = function()
  if lost.count > 0 then pcall(declare_lost) end
  pcall(end_segment)
end
MESHLOG_JOURNAL_GUARD = guard
