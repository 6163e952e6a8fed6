-- wrk -s wrk.lua: the latencies of a run as JSON, one line on stderr: every microsecond at which calls ended, and how many.
-- Only at the end: while wrk runs, no line of Lua is run.
-- wrk's own way to ask for them, latency(i), begins at the smallest each time and takes minutes for a long run. So they are
-- read where wrk keeps them (src/stats.h): count, limit, min, max, then a counter for each microsecond. What is read so is
-- checked against what wrk says, here and by whoever reads the line.
local ffi = require("ffi")

function done(summary, latency, _)
  local kept = ffi.cast("uint64_t **", ffi.cast("void *", latency))[0]
  local at = {}
  if kept[0] > 0 then
    assert(kept[2] == latency.min and kept[3] == latency.max, "wrk keeps its latencies in another form than wrk.lua knows")
    for us = latency.min, latency.max do
      local calls = tonumber(kept[4 + us])
      if calls > 0 then at[#at + 1] = string.format("[%d,%d]", us, calls) end
    end
  end
  local causes = {}
  for _, cause in ipairs({ "connect", "read", "write", "status", "timeout" }) do
    causes[#causes + 1] = string.format("%q:%d", cause, summary.errors[cause])
  end
  io.stderr:write(string.format(
    '{"duration_us":%d,"requests":%d,"errors":{%s},"latencies":[%s]}\n',
    summary.duration, summary.requests, table.concat(causes, ","), table.concat(at, ",")))
end
