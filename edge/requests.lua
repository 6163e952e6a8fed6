-- What clients must not send on: one client's nonsense would cost its neighbours on the shared connections behind the edge.
-- A Lua module:
--
--   is_native(headers)            whether the client speaks gRPC itself
--   problem(headers)              what is wrong with a request, as a sentence; nil: nothing
--   cleaned(handle, headers)      drops what the request may not say
--
-- Rules: a Host that is empty, or no host's name, is refused: as :authority it is illegal in HTTP/2, and ends the connection
-- to the sidecar with every call on it. A grpc-timeout that cannot be read is refused: gRPC remembers it for the whole
-- connection, and fails other clients' calls by it. Who does not speak gRPC cannot say other things in its name: grpc-* and
-- *-bin headers are dropped.

local HOST = "^[%w%.%-_~:%[%]]+$"
local TIMEOUT = "^%d%d?%d?%d?%d?%d?%d?%d?[HMSmun]$"

local function is_native(headers)
  local kind = headers["content-type"]
  return kind and kind:find("application/grpc", 1, true) == 1 or false
end

local function problem(headers)
  local host, timeout = headers[":authority"], headers["grpc-timeout"]
  if not host or not host:find(HOST) then return "the Host header is empty, or not the name of a host" end
  if timeout and not timeout:find(TIMEOUT) then
    return "grpc-timeout is up to eight digits and one of H, M, S, m, u, n, such as 500m"
  end
end

local function cleaned(handle, headers)
  for name in pairs(headers) do
    if (name:find("grpc-", 1, true) == 1 and name ~= "grpc-timeout") or name:sub(-4) == "-bin" then
      handle:headers():remove(name)
    end
  end
end

return { is_native = is_native, problem = problem, cleaned = cleaned }
