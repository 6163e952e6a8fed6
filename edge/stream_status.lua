-- Stands between the transcoder and the service: sees the trailers first, and tells stream_format.lua of a failure.

function envoy_on_response(handle)
  local trailers = handle:trailers() -- waits for them; chunks pass meanwhile
  if trailers == nil then return end
  local code = trailers:get("grpc-status")
  if code ~= nil and code ~= "0" then
    local metadata = handle:streamInfo():dynamicMetadata()
    metadata:set("stream", "code", code)
    metadata:set("stream", "message", trailers:get("grpc-message") or "")
  end
end
