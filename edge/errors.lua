-- Errors from inside the mesh in the one form of the edge, and problem+json (RFC 9457) for who asks for it. A Lua module:
--
--   asked(handle, headers)        remembers in which form the client of a request wants errors
--   answered(handle, headers)     gives an error its form; whether it did, so that `headers` are not the answer's any more
--
-- Rules: an answer below 400 passes untouched, and so does native gRPC. An error that is not JSON (a sidecar's text, an
-- empty body) is replaced by the sentence of ANSWERS. An error that is JSON keeps what it has of code (a number), message
-- (text) and details (a list), unless the message is empty, or a proxy's talk about its connections.
-- On the gRPC path a failed call says its grpc-status in the headers, as one that went well does: the journal reads it.
--
-- edge/errors.py puts ASKED ("grpc" or "rest") and ANSWERS before this program.

local PROXY_TALK = {
  "^$", "^Bad Request$", "^upstream connect error", "^upstream request timeout", "^no healthy upstream", "^RBAC: ",
}

-- The text from `at` to where the JSON value that begins there ends.
local function value_at(json, at)
  local depth, i = 0, at
  while true do
    local p = json:find('[%[%]{}",]', i)
    if p == nil then return nil end
    local c = json:sub(p, p)
    if c == '"' then
      local close = p
      repeat -- until a quote with an even number of backslashes before it
        close = json:find('"', close + 1, true)
        if close == nil then return nil end
        local slashes = #json:sub(p + 1, close - 1):match("\\*$")
      until slashes % 2 == 0
      p = close
    elseif c == "{" or c == "[" then
      depth = depth + 1
    elseif depth == 0 then
      return json:sub(at, p - 1), p -- a comma, or the end of the object around us
    elseif c ~= "," then
      depth = depth - 1
    end
    i = p + 1
  end
end

-- The members of a JSON object: name -> value, as the text it was written in. nil: this is no object.
local function members(json)
  local found, at = {}, json:match("^%s*{()")
  while at do
    local name, start = json:match('^%s*"([^"\\]*)"%s*:%s*()', at)
    if name == nil then break end
    local value, stop = value_at(json, start)
    if value == nil then return nil end
    found[name] = value:match("^(.-)%s*$")
    at = json:sub(stop, stop) == "," and stop + 1 or nil
  end
  return next(found) and found
end

local function is_proxy_talk(message)
  for _, pattern in ipairs(PROXY_TALK) do
    if message:find(pattern) then return true end
  end
  return false
end

-- What a service said of its error, where it has the form; each part that has another is ours.
local function status_object(answer, said)
  said = said or {}
  local message = said.message and said.message:match('^".*"$')
  local worth_telling = message and not is_proxy_talk(message:sub(2, -2))
  return {
    code = said.code and said.code:match("^%d+$") or answer.code,
    message = worth_telling and message or '"' .. answer.message .. '"',
    details = worth_telling and said.details and said.details:match("^%[.*%]$") or "[]",
  }
end

local function rpc_status(error)
  return '{"code":' .. error.code .. ',"message":' .. error.message .. ',"details":' .. error.details .. "}"
end

local function problem(error, status, answer)
  return '{"type":"about:blank","title":"' .. answer.title .. '","status":' .. status .. ',"detail":' .. error.message
    .. ',"code":' .. error.code .. ',"details":' .. error.details .. "}"
end

local function hide_proxy_talk_from_grpc(handle, said)
  local unescaped = said and said:gsub("%%(%x%x)", function(x) return string.char(tonumber(x, 16)) end)
  if not unescaped or unescaped == "" or not is_proxy_talk(unescaped) then return false end
  handle:headers():replace("grpc-message", ANSWERS[503].message)
  return true
end

local function asked(handle, headers)
  local accept = headers["accept"]
  if accept and accept:find("application/problem+json", 1, true) then
    handle:streamInfo():dynamicMetadata():set("errors", "problem", true)
  end
end

local function answered(handle, said)
  local kind = said["content-type"] or ""
  if kind:find("application/grpc", 1, true) == 1 then return hide_proxy_talk_from_grpc(handle, said["grpc-message"]) end
  local status = tonumber(said[":status"])
  if status == nil or status < 400 then return false end

  local is_a_services = said["x-meshlog-service"]
  local body = handle:body(true) -- an empty one too; waits, and what was asked of `handle` before is void after: `said` too
  local is_json = kind:find("application/json", 1, true) == 1
  local answer = ANSWERS[status] or ANSWERS[0]
  local error = status_object(answer, is_json and members(body:getBytes(0, body:length())) or nil)
  local headers = handle:headers()
  local wanted = handle:streamInfo():dynamicMetadata():get("errors")
  if wanted and wanted.problem then
    headers:replace("content-type", "application/problem+json")
    body:setBytes(problem(error, status, answer))
  else
    headers:replace("content-type", "application/json")
    body:setBytes(rpc_status(error))
  end
  if ASKED == "grpc" and is_a_services then headers:replace("grpc-status", error.code) end
  return true
end

return { asked = asked, answered = answered }
