-- A fault: of the calls through this sidecar, PERCENT wait for DELAY_NS before they are sent on to the workload.
--
-- Rules: the delay is exact. Envoy's own fault filter goes by the event loop's timers, in whole milliseconds that may take
-- twice as long; here the thread sleeps until shortly before the end, and watches the clock for the rest, because it would
-- wake up late. So the sidecar's one worker does nothing else meanwhile: calls that come together wait one after the other.
-- mesh/bounds.py keeps the delay short.
--
-- In front of this text stands `local DELAY_NS, PERCENT = 2000000, 100.0`: see mesh/xds/fault.py.

local ffi = require("ffi")

ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } fault_time;
  int clock_gettime(int clock, fault_time *time);
  int clock_nanosleep(int clock, int flags, const fault_time *until, fault_time *rest);
]]
local C = ffi.C

local MONOTONIC, ABSOLUTE = 1, 1 -- as Linux numbers them
local BILLION = 1000000000
local OWN_NS = 40000 -- what holding a call costs by itself (this script, caches gone cold): a part of the delay
local WATCHED_NS = 300000 -- a thread that asks to sleep is woken 60 µs late, and later where the machine is busy

local time = ffi.new("fault_time")

local function now_ns()
  C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) * BILLION + tonumber(time.nanoseconds)
end

local function sleep_until(ns)
  time.seconds = math.floor(ns / BILLION)
  time.nanoseconds = ns % BILLION
  C.clock_nanosleep(MONOTONIC, ABSOLUTE, time, nil) -- a signal may end it early: the clock is looked at again
end

function envoy_on_request(_)
  local deadline = now_ns() + DELAY_NS - OWN_NS
  if math.random() * 100 >= PERCENT then return end
  if DELAY_NS > WATCHED_NS then sleep_until(deadline - WATCHED_NS) end
  while now_ns() < deadline do end
end
