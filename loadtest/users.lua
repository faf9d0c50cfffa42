-- Requests of one user each, numbered from a first one on, for wrk: arguments are model, key and the first number.
require("result")

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
