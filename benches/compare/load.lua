-- What the load generator asks for, and how it reports.
--
-- Arguments: AUTHORITY TARGET KIND. AUTHORITY goes into Host; TARGET is the request target as it stands on the wire
-- (a path, or an absolute URI for a forward proxy); KIND `distinct` appends a number that grows with each request.

function init(args)
   local authority, target, kind = args[1], args[2], args[3]
   wrk.headers["Host"] = authority
   wrk.path = target
   if kind == "distinct" then
      -- The request is put together by hand because the generator shares its core with the origin.
      local before = "GET " .. target
      local after = " HTTP/1.1\r\nHost: " .. authority .. "\r\n\r\n"
      local number = 0
      request = function()
         number = number + 1
         return before .. number .. after
      end
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      "RESULT requests=%d duration_us=%d bytes=%d failed=%d timeouts=%d p50_us=%d p99_us=%d\n",
      summary.requests, summary.duration, summary.bytes,
      errors.connect + errors.read + errors.write + errors.status, errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
