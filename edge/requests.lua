-- What clients must not send on: one client's nonsense would cost its neighbours on the shared connections behind the edge.
--
-- Rules: a Host that is empty, or no host's name, is refused: as :authority it is illegal in HTTP/2, and ends the connection
-- to the sidecar with every call on it. A grpc-timeout that cannot be read is refused: gRPC remembers it for the whole
-- connection, and fails other clients' calls by it. Who does not speak gRPC cannot say other things in its name: grpc-* and
-- *-bin headers are dropped. The body of a GET says nothing (RFC 9110), so both paths read none.

local HOST = "^[%w%.%-_~:%[%]]+$"
local TIMEOUT = "^%d%d?%d?%d?%d?%d?%d?%d?[HMSmun]$"

local function refuse(handle, is_native, sentence)
  -- a native client is told INVALID_ARGUMENT; of a bare 400 it would make INTERNAL
  handle:respond({ [":status"] = "400", ["grpc-status"] = is_native and "3" or nil }, sentence)
end

local function drop_what_only_grpc_says(headers)
  local dropped
  for name in pairs(headers) do
    if (name:find("grpc-", 1, true) == 1 and name ~= "grpc-timeout") or name:sub(-4) == "-bin" then
      dropped = dropped or {}
      dropped[#dropped + 1] = name
    end
  end
  for _, name in ipairs(dropped or {}) do headers:remove(name) end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local is_native = (headers:get("content-type") or ""):find("application/grpc", 1, true) == 1
  local host, timeout = headers:get(":authority"), headers:get("grpc-timeout")
  if not host or not host:find(HOST) then
    return refuse(handle, is_native, "the Host header is empty, or not the name of a host")
  end
  if timeout and not timeout:find(TIMEOUT) then
    return refuse(handle, is_native, "grpc-timeout is up to eight digits and one of H, M, S, m, u, n, such as 500m")
  end
  if is_native then return end
  drop_what_only_grpc_says(headers)
  local method = headers:get(":method")
  if method == "GET" or method == "HEAD" then
    local body = handle:body() -- nil, at once, where there is none; `headers` is void after it
    if body and body:length() > 0 then body:setBytes("") end
  end
end
