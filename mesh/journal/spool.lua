-- The journal's spool, as its writer has it (mesh/journal/spool.py is its reader). One of three texts that are one Lua
-- script: see mesh/journal/program.py. It gives the others `now_us`, the record in the making (`begin`, `record`, `put_...`,
-- `keep`) and `end_segment`.
--
-- Rules
--   One record is one frame in one write(2) to the page cache: SIGKILL of Envoy cannot take it back.
--   Each Lua VM (one per worker, listener and generation of configuration) has its own segments. It alone knows how long
--   they are: a torn write is cut off again, its segment abandoned for a fresh one, and the record written there.

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
local TEXT_BYTES = 65535 -- of a path or a header; so no record is longer than PAYLOAD_BYTES of mesh/journal/spool.py
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
  else
    if n > TEXT_BYTES then text, n = text:sub(1, TEXT_BYTES), TEXT_BYTES end
    record:put(char(0xda, floor(n / 256), n % 256), text)
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
