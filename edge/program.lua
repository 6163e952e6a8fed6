-- What the edge itself does with every call, in one filter: each further one would cost a call some 10 µs. It is the first,
-- so that the journal is told of the request as the client sent it, and of the answer as the client gets it.
--
-- edge/program.py puts the modules before it that it uses: requests, errors, journal (nil: none is kept); and BODY_BYTES.
-- The body of a GET says nothing (RFC 9110): it is dropped, so that both paths read none.

-- Headers as a table, name -> value. Of a name that comes more than once the values are joined, as HTTP has it.

local function all(headers) -- of a request: each has to be looked at anyway
  local found = {}
  for name, value in pairs(headers) do
    local before = found[name]
    found[name] = before and before .. "," .. value or value
  end
  return found
end

local LOOK_UP = {
  __index = function(found, name)
    local value = found[1]:get(name) or false
    found[name] = value
    return value
  end,
}

local function few(headers) -- of an answer: those that are asked for, looked up once; false: there is none
  return setmetatable({ headers }, LOOK_UP)
end

local function refuse(handle, is_native, status, code, sentence) -- of a bare 400 a native client would make INTERNAL
  handle:respond({ [":status"] = status, ["grpc-status"] = is_native and code or nil }, sentence)
end

local function drop_body(handle, headers, call)
  local declared = tonumber(headers["content-length"])
  if declared and declared > BODY_BYTES then return refuse(handle, false, "413", "8", "") end -- rather than wait for it
  local body = handle:body() -- nil, at once, where there is none
  local length = body and body:length() or 0
  if length == 0 then return end
  if length > BODY_BYTES then return refuse(handle, false, "413", "8", "") end
  if journal then journal.body(call, body) end
  body:setBytes("")
end

function envoy_on_request(handle)
  local headers = all(handle:headers())
  local call = journal and journal.asked(handle, headers)
  errors.asked(handle, headers)
  local is_native, problem = requests.is_native(headers), requests.problem(headers)
  if problem then return refuse(handle, is_native, "400", "3", problem) end
  if not is_native then
    requests.cleaned(handle, headers)
    local method = headers[":method"]
    if method == "GET" or method == "HEAD" then return drop_body(handle, headers, call) end
  end
  if journal then
    for chunk in handle:bodyChunks() do journal.body(call, chunk) end
  end
end

function envoy_on_response(handle)
  local headers = few(handle:headers())
  local fine, changed = pcall(errors.answered, handle, headers)
  if not fine then handle:logErr("errors: " .. tostring(changed)) end
  if not journal then return end
  if changed then headers = few(handle:headers()) end
  journal.answered(handle, headers)
end
