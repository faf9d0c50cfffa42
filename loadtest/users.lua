-- Requests of one user each, numbered from a first one on, for wrk: arguments are model, key and the first number.
local head, tail
local number

function init(args)
  local body = '{"model":"' .. args[1] .. '","messages":[{"role":"user","content":"Which of so many am I?"}],"max_tokens":100}'
  head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. args[2]
    .. "\r\nAccept: application/json\r\nContent-Type: application/json\r\nUser-Agent: loadtest\r\nx-fastgate-user: user-"
  tail = "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  number = tonumber(args[3])
end

function request()
  number = number + 1
  return head .. (number - 1) .. tail
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, '
      .. '"p50": %d, "p99": %d, "p999": %d}\n',
    summary.requests, summary.duration, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
