-- The journal: one record of every answered call, written before the client sees the answer. A Lua module:
--
--   asked(handle, headers)        a request has come, which `headers` (name -> value) are of: its call, for the next
--   body(call, bytes)             some bytes of its body
--   answered(handle, headers)     the answer, as the client gets it; waits for its end, if its headers do not tell it
--
-- Rules
--   It belongs into the first HTTP filter of an edge listener: there the request is what the client sent, the answer what
--   the client gets.
--   A record is written before the headers it tells of are released; the end of a stream before its last byte or trailers.
--   Nothing is buffered: chunks of requests and answers pass as they come.
--   A call never fails because of this module, and nothing is raised out of it: what cannot be recorded is counted, and
--   declared (CallsLost) as soon as a write succeeds again. A call is lost as a whole, with the end of its stream.
--   Authorization, cookies and every header that KEPT does not name are never stored.
--
-- In front of this text stand spool.lua, messages.lua and `local ASKED = "grpc"` (or "rest"): see mesh/journal/program.py.

local BODY_BYTES = 64 * 1024 -- of a request, kept for a replay
local KEPT = { "accept", "content-type", "content-encoding", "grpc-encoding", "grpc-timeout" } -- what a replay needs

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

-- From the request to its answer a call is found by the id that the edge gave the request, and that the answer says.
-- `calls` holds it weakly and `held` for as long as Envoy holds the request's handle, so that a call that is never
-- answered leaves nothing behind.
local calls, held = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" })

-- Envoy gives an id to what it can read; the rest (400, 426, 431) gets one here, for no two calls have the same.
local VM, unread = tostring({}):match("0x(%x+)") or "0", 0

local function unread_id()
  unread = unread + 1
  return string.format("unread-%s-%.0f-%d", VM, now_us(), unread)
end

local function read_request(handle, headers)
  local id = headers["x-request-id"] or unread_id()
  local call = {
    at = now_us(), id = id, method = headers[":method"] or "", path = headers[":path"] or "", headers = {}, body = {},
    bytes = 0, kept = 0,
  }
  calls[id], held[handle] = call, call
  local kept, n = call.headers, 0
  for i = 1, #KEPT do
    local name = KEPT[i]
    local value = headers[name]
    if value then
      kept[n + 1], kept[n + 2] = name, value
      n = n + 2
    end
  end
  return call
end

local function read_body(call, bytes)
  local n = bytes:length()
  local wanted = math.min(n, BODY_BYTES - call.kept)
  if wanted > 0 then
    call.body[#call.body + 1] = bytes:getBytes(0, wanted)
    call.kept = call.kept + wanted
  end
  call.bytes = call.bytes + n
end

-- Answers

local ANSWERED = char(0xde, 0, 17) .. key("type") .. key("CallAnswered") .. key("asked") .. key(ASKED) .. key("call_id")
local ENDED = char(0x88) .. key("type") .. key("StreamEnded") .. key("call_id")
local KEYS = {}
for name in ([[trace_id position method path service version http_status grpc_status started_at_us answered_at_us
streaming request_headers request_body request_body_bytes messages bytes ended_at_us]]):gmatch("%S+") do
  KEYS[name] = key(name)
end

local NOBODY = { method = "", path = "", headers = {}, body = {}, bytes = 0 } -- asked too badly to be parsed

local function keep_answered(call, headers, streaming)
  begin()
  record:put(ANSWERED); put_string(call.id)
  record:put(KEYS.trace_id); put_string(headers["x-trace-id"] or "")
  record:put(KEYS.position); put_integer(call.position)
  record:put(KEYS.method); put_string(call.method)
  record:put(KEYS.path); put_string(call.path)
  record:put(KEYS.service); put_string(headers["x-meshlog-service"] or "")
  record:put(KEYS.version); put_string(headers["x-meshlog-version"] or "")
  record:put(KEYS.http_status); put_integer(whole_number(headers[":status"]) or 0)
  record:put(KEYS.grpc_status); put_status(whole_number(headers["grpc-status"]))
  record:put(KEYS.answered_at_us); put_integer(now_us())
  record:put(KEYS.started_at_us); put_integer(call.at)
  record:put(KEYS.streaming, streaming and "\195" or "\194", KEYS.request_headers, char(0x80 + #call.headers / 2))
  for _, text in ipairs(call.headers) do put_string(text) end
  record:put(KEYS.request_body); put_bytes(table.concat(call.body))
  record:put(KEYS.request_body_bytes); put_integer(call.bytes)
  return keep()
end

local function keep_ended(call, trace_id, status, messages, bytes)
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
  if headers["grpc-status"] or call.method == "HEAD" then return false end
  local status = headers[":status"]
  if status == "204" or status == "304" then return false end
  return not headers["content-length"] or (headers["content-type"] or ""):find("application/grpc", 1, true) == 1
end

local function record_answer(handle, headers)
  local call = calls[headers["x-request-id"] or ""]
    or setmetatable({ at = now_us(), id = unread_id() }, { __index = NOBODY })
  call.position = whole_number(headers["x-meshlog-position"]) or 0
  local streaming = is_stream(call, headers)
  local done, reason = keep_answered(call, headers, streaming)
  if not done then return lose(handle, call.at, reason) end
  if lost.count > 0 then declare_lost() end
  if not streaming then return end

  local trace_id, status = headers["x-trace-id"] or "", headers["grpc-status"]
  local count, messages, bytes = counter_of(headers), 0, 0
  for chunk in handle:bodyChunks() do
    bytes = bytes + chunk:length()
    messages = count(chunk)
  end
  local trailers = handle:trailers()
  status = whole_number(trailers and trailers:get("grpc-status") or status)
  done, reason = keep_ended(call, trace_id, status, messages, bytes)
  if not done then lose(handle, call.at, reason) end
end

-- When the VM goes (new configuration, orderly end of Envoy) its segment says so.
local guard = newproxy(true)
getmetatable(guard).__gc = function()
  if lost.count > 0 then pcall(declare_lost) end
  pcall(end_segment)
end
MESHLOG_JOURNAL_GUARD = guard

-- Each in a pcall: a call never fails because of us

local function asked(handle, headers)
  local fine, call = pcall(read_request, handle, headers)
  if fine then return call end
  handle:logErr("journal: request not read: " .. tostring(call))
end

local function body(call, bytes)
  if call then pcall(read_body, call, bytes) end
end

local function answered(handle, headers)
  local fine, problem = pcall(record_answer, handle, headers)
  if not fine then pcall(lose, handle, now_us(), "the journal failed: " .. tostring(problem)) end
end

return { asked = asked, body = body, answered = answered }
